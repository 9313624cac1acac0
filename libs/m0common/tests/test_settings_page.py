"""docs/operations/settings.md says what the settings are."""

from pathlib import Path

from m0common.section import Section
from m0common.settings import Catalog, Settings, variables
from m0common.settings_page import UNITS, page

FILE = Path(__file__).parents[3] / "docs" / "operations" / "settings.md"


def sections():
    yield "", Settings
    for name, field in Settings.model_fields.items():
        if isinstance(field.annotation, type) and issubclass(field.annotation, Section):
            yield name, field.annotation
    yield "catalogs", Catalog


def test_the_page_is_what_the_settings_make():
    assert FILE.read_text("utf-8") == page(), "run: python -m m0common.settings_page > docs/operations/settings.md"


def test_every_variable_and_every_secrets_twin_is_on_the_page():
    text = page()
    assert [name for name in variables() if f"`{name}`" not in text] == []
    assert "`M0_KEY_PASSPHRASE_FILE`" in text


def test_a_time_or_a_size_has_its_unit_in_its_name():
    told = {"timeout", "interval", "grace", "after", "lateness", "horizon", "wait", "commit", "reveal"}
    for section, model in sections():
        for name, field in model.model_fields.items():
            if field.annotation in {int, float} and told & set(name.split("_")):
                assert name.rsplit("_", 1)[-1] in UNITS, f"{section}.{name}"
