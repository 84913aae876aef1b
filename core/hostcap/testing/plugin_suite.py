"""The suite that every kind shares: contract, words, settings, and what travels to worker processes."""

from __future__ import annotations

import pickle
from collections.abc import Mapping
from typing import Any, ClassVar

import attrs
import pytest

from hostcap.errors import ConfigError
from hostcap.plugins import KINDS, PluginRecord
from hostcap.testing import checking
from hostcap.testing.case import Case


class PluginSuite:
    """Inherit a suite of your plugin's kind, and override the fixture ``case``.

    A test that must fail for a stated reason is named in ``Case.expected_failures``; one that passes all the same is
    an error, so that the list cannot grow old.
    """

    kind: ClassVar[type[PluginRecord[Any]]]

    @pytest.fixture
    def case(self) -> Case:
        """Your plugin, and how it is tried."""
        raise pytest.UsageError(f"{type(self).__name__}: override the fixture 'case' with a hostcap.testing.Case")

    @pytest.fixture(autouse=True)
    def _expected(self, request: pytest.FixtureRequest, case: Case) -> None:
        name = getattr(request.node, "originalname", request.node.name)
        unknown = [n for n in case.expected_failures if not hasattr(self, n)]
        if unknown:
            raise pytest.UsageError(f"expected_failures names {unknown[0]!r}, and the suite has no such test")
        if name in case.expected_failures:
            request.applymarker(pytest.mark.xfail(reason=case.expected_failures[name], strict=True))

    @pytest.fixture(autouse=True)
    def _installed(self, request: pytest.FixtureRequest, case: Case) -> None:
        """Without the packages of its extra a plugin is listed, and its settings are read; nothing is made of them."""
        name = getattr(request.node, "originalname", request.node.name)
        if case.record.lack and name not in _WITHOUT_PACKAGES:
            pytest.skip(case.record.lack)

    # Contract

    def test_the_record_is_of_its_kind(self, case: Case) -> None:
        assert isinstance(case.record, self.kind), f"the suite is for {self.kind.__name__}"
        assert type(case.record) in KINDS

    def test_it_has_words_and_units(self, case: Case) -> None:
        _none(checking.words_of(case.record))

    def test_its_config_is_frozen_and_fits_a_file(self, case: Case) -> None:
        _none(checking.shape_of(case.record))

    def test_its_keys_are_in_the_json_schema(self, case: Case) -> None:
        _none(checking.schema_of(case.registry, case.record))

    def test_its_settings_come_back_from_a_file_and_from_a_worker(self, case: Case) -> None:
        _none(checking.round_trip_of(case.record, case.settings, case.folder))

    def test_listing_it_imports_nothing_heavy(self, case: Case) -> None:
        _none(checking.lightness_of(case.record))

    def test_the_record_travels(self, case: Case) -> None:
        again = pickle.loads(pickle.dumps(case.config()))
        assert again == case.config()

    # Failure

    def test_wrong_settings_are_refused_by_name(self, case: Case) -> None:
        if not case.wrong:
            if attrs.fields(case.record.config):
                pytest.skip("the case names no wrong settings; add Case(wrong=[...])")
            return
        for settings in case.wrong:
            with pytest.raises(ConfigError) as caught:
                case.config({**case.settings, **settings})
            assert _names_a_key(str(caught.value), settings), f"{caught.value} names none of {list(settings)}"

    # State

    def test_two_objects_do_not_disturb_each_other(self, case: Case) -> None:
        first, second = case.make(), case.make()
        assert type(first) is type(second)


_WITHOUT_PACKAGES = {name for name in vars(PluginSuite) if name.startswith("test_")} - {
    "test_two_objects_do_not_disturb_each_other"
}
"""Tests that make no object of the plugin."""


def _none(problems: Any) -> None:
    found = [f"{p.rule}: {p.message}" for p in problems]
    assert not found, "\n".join(found)


def _names_a_key(message: str, settings: Mapping[str, Any]) -> bool:
    return any(key in message for key in settings)
