"""All texts for people are in the template of translators, and only texts that can be looked up."""

import importlib.util
from pathlib import Path
from xml.etree import ElementTree

import pytest

ROOT = Path(__file__).resolve().parents[3]


@pytest.fixture(scope="module")
def tool():
    spec = importlib.util.spec_from_file_location("make_translations", ROOT / "Testing/tools/make_translations.py")
    module = importlib.util.module_from_spec(spec)
    spec.loader.exec_module(module)
    return module


def test_the_template_is_that_of_the_code(tool):
    message = "run: python Testing/tools/make_translations.py"
    assert tool.TEMPLATE.read_text(encoding="utf-8") == tool.template(), message


def test_it_holds_texts_of_code_and_form_in_slicers_contexts(tool):
    root = ElementTree.parse(tool.TEMPLATE).getroot()
    contexts = {context.findtext("name"): context for context in root.iter("context")}
    assert "Research use only." in "".join(contexts["GBMResponse"].itertext())
    assert "Cancelling..." in [node.text for node in contexts["panel.PredictionPanel"].iter("source")]
    assert "Image Synthesis" in [node.text for node in contexts["qSlicerAbstractCoreModule"].iter("source")]
    assert sum(1 for _message in root.iter("message")) > 400


def test_a_text_that_is_put_together_is_refused(tool, tmp_path):
    path = tmp_path / "Wrong.py"
    path.write_text('print(_(f"of {1}"))\n')
    with pytest.raises(tool.UnreadableText, match="line 1"):
        list(tool._ofCode(path))
