"""The docs say what the code does."""

from __future__ import annotations

import json
import re
import runpy
from pathlib import Path

import jsonschema
import pytest
from support import BRIEFLY, ROOT, Cli

import recipe_records
from mnistkit.cli import main
from mnistkit.core import records
from mnistkit.training.recipes import RECIPES
from mnistkit.verify import predictions

docs = runpy.run_path(str(ROOT / "tools/docs.py"))
PAGES: list[Path] = docs["pages"]()


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_what_is_generated_has_not_drifted(page: Path) -> None:
    text = page.read_text()
    assert docs["generated"](text) == text, "run 'make docs'"


def test_the_schemas_have_not_drifted() -> None:
    written = {path: path.read_text() for path in (ROOT / "docs/schemas").iterdir()}
    assert docs["schema_files"]() == written, "run 'make docs'"


def test_what_commands_write_is_as_the_schemas_say(mnistkit: Cli, workspace: Path, tmp_path: Path) -> None:
    bundle = workspace / "bundle"
    results = {
        "bundle": (bundle / "manifest.json").read_text(),
        "run": (workspace / "run.json").read_text(),
        "history": (workspace / "history.json").read_text(),
        "inspection": mnistkit("inspect", bundle / "model.int8.onnx", "--json", "-").out,
        "diagnosis": mnistkit("diagnose", bundle, "--images", 5, "--json", "-").out,
    }
    files = {name: tmp_path / f"{name}.json" for name in ("verify", "bench")}
    assert mnistkit("verify", bundle, "--json", files["verify"], "--save", tmp_path / "saved.npz").code == 0
    assert mnistkit("bench", bundle, *BRIEFLY, "--json", files["bench"]).code == 0
    results |= {name: path.read_text() for name, path in files.items()}
    results["predictions"] = records.to_json(predictions.load(tmp_path / "saved.npz").record)
    results["comparison"] = mnistkit("compare", tmp_path / "saved.npz", tmp_path / "saved.npz", "--json", "-").out
    results["recommendation"] = mnistkit("recommend", *files.values(), "--json", "-").out
    results["doctor"] = mnistkit("doctor", "--json", "-").out
    head = {"schema": "mnistkit.metadata", "version": 1}  # which they carry where they stand by themselves
    results["metadata"] = json.dumps(head | json.loads(results["inspection"])["metadata"])
    assert (
        mnistkit("deploy", bundle, "--on", "127.0.0.1:1", "--json", tmp_path / "fleet.json").code == 1
    )  # none is there
    results["fleet"] = (tmp_path / "fleet.json").read_text()
    assert set(results) == {path.stem for path in (ROOT / "docs/schemas").iterdir()}
    for name, text in results.items():
        schema = json.loads((ROOT / f"docs/schemas/{name}.json").read_text())
        jsonschema.Draft202012Validator.check_schema(schema)
        jsonschema.validate(json.loads(text), schema)
        with pytest.raises(jsonschema.ValidationError):
            jsonschema.validate(json.loads(text) | {"version": 99}, schema)


def test_a_drifted_block_would_be_seen() -> None:
    text = (ROOT / "README.md").read_text()
    drifted = text.replace("PASS", "FAIL").replace("Usage: mnistkit", "Usage: mnistkat")
    assert docs["generated"](drifted) == text != drifted


def test_recorded_runs_are_of_the_recipes_as_they_are_now() -> None:
    for name, recipe in RECIPES.items():
        for record in recipe_records.of_recipe(name):
            run = record.run
            recorded = run.optimizer, run.batch_size, run.epochs, run.validation, run.augmentation, run.published
            recipe_now = str(recipe.optimizer), recipe.batch_size, recipe.epochs, recipe.validation
            assert recorded == (*recipe_now, recipe.augmentation, recipe.published), (
                f"{name} was changed: record it again"
            )


def test_every_command_is_documented() -> None:
    text = (ROOT / "docs/commands.md").read_text()
    assert [name for name in main.COMMANDS if f"Usage: mnistkit {name}" not in text] == []


@pytest.mark.parametrize("page", PAGES, ids=[page.name for page in PAGES])
def test_links_lead_somewhere(page: Path) -> None:
    links = re.findall(r"\]\((?!https?:)([^)#]+)", page.read_text())
    assert [link for link in links if not (page.parent / link).exists()] == []


def test_the_readme_shows_the_two_commands() -> None:
    block = re.search(r"<!-- commands -->\n```sh\n(.*?)```", (ROOT / "README.md").read_text(), re.DOTALL)
    assert block
    assert [line.partition("#")[0].strip() for line in block[1].splitlines()] == ["make", "make test"]
