"""The docs match the code."""

import json
import re
from pathlib import Path

import jsonschema
import pytest
from support import BRIEFLY, FAST, ROOT, WIDE, Cli

import docs
import recipe_records
from mnistkit.core import records
from mnistkit.training.recipes import RECIPES
from mnistkit.verify import predictions

PAGES = docs.pages()
parametrize_pages = pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])


@parametrize_pages
def test_generated_blocks_are_up_to_date(page: Path) -> None:
    text = page.read_text()
    assert docs.regenerate(text) == text, "run 'make docs'"


def test_outdated_block_is_detected() -> None:
    text = (ROOT / "README.md").read_text()
    outdated = text.replace("PASS", "FAIL").replace("Usage: mnistkit", "Usage: mnistkat")
    assert docs.regenerate(outdated) == text != outdated


def test_schemas_are_up_to_date() -> None:
    written = {path: path.read_text() for path in (ROOT / "docs/schemas").iterdir()}
    assert docs.schema_files() == written, "run 'make docs'"


def test_output_matches_the_schemas(
    mnistkit: Cli, workspace: Path, trained: Path, few_digits: Path, tmp_path: Path
) -> None:
    bundle = workspace / "bundle"
    results = {
        "bundle": (bundle / "manifest.json").read_text(),
        "run": (trained / "run.json").read_text(),
        "history": (trained / "history.json").read_text(),
        "inspection": mnistkit("inspect", bundle / "model.int8.onnx", "--json", "-").out,
        "diagnosis": mnistkit("diagnose", bundle, "--images", 5, "--json", "-").out,
    }
    files = {name: tmp_path / f"{name}.json" for name in ("verify", "bench")}
    saved = tmp_path / "saved.npz"
    options = "--json", files["verify"], "--save-predictions", saved
    assert mnistkit("verify", bundle, *FAST, *WIDE, *options).code == 0
    assert mnistkit("bench", bundle, *BRIEFLY, "--json", files["bench"]).code == 0
    results |= {name: path.read_text() for name, path in files.items()}
    results["predictions"] = records.to_json(predictions.load(saved).record)
    results["comparison"] = mnistkit("compare", saved, saved, "--json", "-").out
    results["recommendation"] = mnistkit("recommend", *files.values(), "--json", "-").out
    paths = "--data", few_digits, "--out", tmp_path / "profiled"
    one_artifact = "--format", "tflite", "--quantize", "float32", "--profile"
    assert mnistkit("export", workspace / "model.keras", *paths, *one_artifact).code == 0
    results["profile"] = mnistkit("profile", tmp_path / "profiled", *BRIEFLY, "--json", "-").out
    results["doctor"] = mnistkit("doctor", "--json", "-").out
    header = {"schema": "mnistkit.metadata", "version": 1}  # part of the metadata in an artifact
    results["metadata"] = json.dumps(header | json.loads(results["inspection"])["metadata"])
    fleet = mnistkit("fleet", "deploy", bundle, "--host", "127.0.0.1:1", "--json", tmp_path / "fleet.json")
    assert fleet.code == 1  # no board has this address
    results["fleet"] = (tmp_path / "fleet.json").read_text()
    assert set(results) == {path.stem for path in (ROOT / "docs/schemas").iterdir()}
    for name, text in results.items():
        schema = json.loads((ROOT / f"docs/schemas/{name}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(json.loads(text), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(text) | {"version": 99}, schema)


def test_recorded_runs_match_the_current_recipes() -> None:
    for name, recipe in RECIPES.items():
        for record in recipe_records.load_records(name):
            run = record.run
            recorded = run.optimizer, run.batch_size, run.epochs, run.validation, run.augmentation, run.published
            training = str(recipe.optimizer), recipe.batch_size, recipe.epochs, recipe.validation
            current = *training, recipe.augmentation, recipe.published
            assert recorded == current, f"recipe {name} changed; record it again with 'make recipes'"


def test_every_command_is_documented_in_order() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    assert re.findall(r"^<!-- generated: help (.+) -->$", text, re.MULTILINE) == docs.commands()
    assert re.findall(r"^## mnistkit (.+)$", text, re.MULTILINE) == docs.commands()
    assert [name for name in docs.commands() if f"Usage: mnistkit {name} [OPTIONS]" not in text] == []


@parametrize_pages
def test_relative_links_exist(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_readme_shows_the_two_commands() -> None:
    block = re.search(r"<!-- commands -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    assert [line.partition("#")[0].strip() for line in block[1].splitlines()] == ["make", "make test"]
