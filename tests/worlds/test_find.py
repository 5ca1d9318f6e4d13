"""Which table of facts is meant: a name, a file, an object; the nearest names for one that is not known."""

import pytest

from geomem.errors import InputError
from geomem.worlds.catalogue import FACT_WORLDS
from geomem.worlds.facts.countries import countries
from geomem.worlds.facts.reader import write_facts
from geomem.worlds.find import find_facts


@pytest.mark.parametrize("name", FACT_WORLDS)
def test_names(name):
    assert find_facts(name).digest == FACT_WORLDS[name]().digest


def test_files_and_objects(tmp_path, monkeypatch):
    table = countries()
    write_facts(table, tmp_path / "countries")
    assert find_facts(tmp_path / "countries").digest == table.digest
    assert find_facts(str(tmp_path / "countries")).digest == table.digest
    assert find_facts(table) is table
    facts = [("a", "r", "x"), ("a", "r", "y")]
    assert find_facts(facts, several=True).answer_counts.tolist() == [2]
    (tmp_path / "zipf-facts").write_text("a\tr\tx\na\tr\ty\n")
    monkeypatch.chdir(tmp_path)
    assert find_facts("zipf-facts").fact_count > 1000  # a built-in name comes before a file
    assert find_facts("./zipf-facts", several=True).fact_count == 2


@pytest.mark.parametrize(
    ("name", "message"),
    [
        ("contries", r"'contries' is neither a built-in table .* did you mean countries\?"),
        ("xyz", "those built in are random-bijections, "),
    ],
)
def test_unknown_names(name, message):
    with pytest.raises(InputError, match=message):
        find_facts(name)


def test_several_answers_need_leave():
    with pytest.raises(InputError, match="several=True"):
        find_facts([("a", "r", "x"), ("a", "r", "y")])
