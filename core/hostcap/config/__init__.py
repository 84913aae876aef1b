"""Configuration: config classes of parts, study files, and the report of what is wrong with them."""

from hostcap.config.canonical import canonical, unstructure
from hostcap.config.describe import Row, describe
from hostcap.config.fields import (
    SOLVER_NAME,
    TABLE_NAMES,
    about,
    between,
    each,
    finite,
    folder_name,
    in_schema,
    non_negative,
    not_empty,
    one_of,
    positive,
    unique,
    with_offset,
)
from hostcap.config.inputs import file_hashes
from hostcap.config.paths import as_written, expand, resolved
from hostcap.config.structure import structure
from hostcap.config.study import Part, Scope, StudyDocument
from hostcap.config.study_file import read_study, structure_study
from hostcap.config.toml_file import apply_overrides, read_toml
from hostcap.config.trust import leads_out, refused_untrusted
from hostcap.config.variants import Project, Variant, project_of, realised, variant_findings

__all__ = [
    "SOLVER_NAME",
    "TABLE_NAMES",
    "Part",
    "Project",
    "Row",
    "Scope",
    "StudyDocument",
    "Variant",
    "about",
    "apply_overrides",
    "as_written",
    "between",
    "canonical",
    "describe",
    "each",
    "expand",
    "file_hashes",
    "finite",
    "folder_name",
    "in_schema",
    "leads_out",
    "non_negative",
    "not_empty",
    "one_of",
    "positive",
    "project_of",
    "read_study",
    "read_toml",
    "realised",
    "refused_untrusted",
    "resolved",
    "structure",
    "structure_study",
    "unique",
    "unstructure",
    "variant_findings",
    "with_offset",
]
