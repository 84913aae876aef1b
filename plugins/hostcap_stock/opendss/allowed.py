"""What a model that nobody vouches for may say, and what not: the engine's language, word by word.

Tests compare these lists with the engine's own, so that a new verb, option, class or file property is noticed.
"""

from __future__ import annotations

from collections.abc import Mapping


def names(text: str) -> frozenset[str]:
    """The words of a text."""
    return frozenset(text.split())


EDITS = frozenset({"new", "edit", "more", "m", "~", "batchedit"})
SCRIPTS = frozenset({"redirect", "compile"})
DATA = frozenset({"buscoords", "latlongcoords", "giscoords"})
VERBS = (
    EDITS
    | SCRIPTS
    | DATA
    | names(
        "set solve clear clearall calcvoltagebases setkvbase buildy init makebuslist reprocessbuses reset sample "
        "select open close enable disable allocateloads setloadandgenkv setbusxy interpolate addbusmarker "
        "clearbusmarkers get ? summary voltages currents powers seqvoltages seqcurrents seqpowers losses phaselosses "
        "cktlosses puvoltages totalpowers totals zsc zsc10 zsc012 zscrefresh ysc nodelist allpceatbus allpdeatbus "
        "varvalues varnames variable classes //"
    )
)
REFUSED_VERBS = names(
    "save show plot dump help quit next panel about export fileedit formedit capacity userclasses makeposseq reduce "
    "alignfile top rotate vdiff distribute di_plot comparecases yearlycurves cd visualize closedi doscmd estimate "
    "reconductor _initsnap _solvenocontrol _samplecontrols _docontrolactions _showcontrolqueue _solvedirect "
    "_solvepflow uuids cvrtloadshapes nodediff rephase updatestorage obfuscate pstcalc relcalc var cleanup "
    "finishtimestep connect disconnect remove calcincmatrix calcincmatrix_o refine_buslevels calclaplacian "
    "exportoverloads exportvviolations comhelp newactor wait solveall abort clone"
)
OPTIONS = names(
    "type element class object circuit terminal bus hour sec year frequency stepsize h mode random number time "
    "tolerance maxiterations miniterations maxcontroliter controlmode algorithm loadmodel loadmult genmult normvminpu "
    "normvmaxpu emergvminpu emergvmaxpu %mean %stddev %growth %normal ldcurve genkw genpf capkvar addtype "
    "allowduplicates zonelock ueweight lossweight ueregs lossregs voltagebases trapezoidal defaultdaily defaultyearly "
    "allocationfactors cfactors numallociterations cktmodel pricesignal pricecurve basefrequency defaultbasefrequency "
    "harmonics neglectloady loadshapeclass earthmodel longlinecorrection seasonrating seasonsignal zmag keepload "
    "sampleenergymeters eventlogdefault totaltime markercode nodewidth daisysize markswitches switchmarkercode "
    "marktransformers transmarkercode transmarkersize markcapacitors capmarkercode capmarkersize markregulators "
    "regmarkercode regmarkersize markpvsystems pvmarkercode pvmarkersize markstorage storemarkercode storemarkersize "
    "markfuses fusemarkercode fusemarkersize markreclosers reclosermarkercode reclosermarkersize markrelays "
    "relaymarkercode relaymarkersize"
)
REFUSED_OPTIONS = names(
    "editor datapath autobuslist keeplist reduceoption tracecontrol demandinterval diverbose casename log recorder "
    "overloadreport voltexceptionreport showexport querylog registryupdate processtime steptime dssvisualizationtool "
    "linetypes showreports numcpus numcores numactors activeactor cpu actorprogress parallel concatenatereports "
    "numanodes"
)
MODES = names("snap snapshot daily yearly direct duty dutycycle")
ACTIONS = names("normalize open close trip clear")
CLASSES = names(
    "linecode loadshape tshape priceshape xycurve growthshape tcc_curve spectrum wiredata cndata tsdata linespacing "
    "linegeometry xfmrcode line vsource isource vccs load transformer regcontrol capacitor reactor capcontrol fault "
    "dynamicexp generator gendispatcher storage storagecontroller relay recloser fuse swtcontrol pvsystem upfc "
    "upfccontrol espvlcontrol indmach012 gicsource autotrans invcontrol expcontrol gicline gictransformer vsconverter "
    "monitor energymeter sensor circuit"
)
FILE, NATIVE, TRACE, ACTION = "reads a file", "loads native code", "writes a trace file", "may write files"
REACHING: Mapping[str, str] = {
    **dict.fromkeys(("csvfile", "sngfile", "dblfile", "pqcsvfile"), FILE),
    **dict.fromkeys(("usermodel", "userdata", "shaftmodel", "shaftdata", "dynadll", "dynadata"), NATIVE),
    "debugtrace": TRACE,
    "action": ACTION,
}
"""Properties that reach out of the model, of whatever class, and what they do."""
HARMLESS: Mapping[str, frozenset[str]] = {
    "d": names("generator indmach012"),
    "c": names("gicline"),
}
"""Properties of other meaning whose names are the beginning of one that reaches out, and their classes."""
POSITIONAL: Mapping[str, int] = {
    "loadshape": 6,
    "tshape": 6,
    "priceshape": 6,
    "xycurve": 4,
    "growthshape": 3,
    "spectrum": 4,
    "monitor": 3,
    "energymeter": 2,
    "regcontrol": 16,
    "relay": 28,
    "recloser": 17,
    "fuse": 7,
    "swtcontrol": 2,
    "indmach012": 20,
    "capcontrol": 18,
    "generator": 29,
    "pvsystem": 29,
    "storage": 46,
}
"""How many values may stand without a name in classes that reach out: those before the first such property."""
