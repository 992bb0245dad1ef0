"""The written truth about foreign systems: it names settings and systems that exist."""

from tests.strangers.record import SYSTEMS
from tests.strangers.settings import read_settings


def test_each_setting_has_one_load_a_known_system_and_a_known_fix() -> None:
    settings = read_settings()
    names = {setting.name for setting in settings}
    assert len(names) == len(settings)
    for setting in settings:
        assert setting.system in SYSTEMS, setting.name
        assert setting.fixed_by in {*names, ""}, setting.name
        assert bool(setting.load.clients) != bool(setting.load.rate), setting.name
        assert setting.load.requests >= 100, setting.name


def test_about_half_of_the_settings_are_kept_apart() -> None:
    settings = read_settings()
    apart = sum(setting.kept_apart for setting in settings)
    assert 0.3 <= apart / len(settings) <= 0.7
