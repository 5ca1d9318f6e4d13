"""The table of countries: whole, well-formed, in agreement with the atlas, composable with its borders."""

import re
from collections import Counter
from importlib import resources

import numpy as np
import pytest

from geomem.worlds.facts.countries import COUNTRY_RELATIONS, countries, countries_with_borders
from geomem.worlds.facts.hops import all_chains, chain_answers, composable_relations, describe_chain
from geomem.worlds.facts.reader import read_facts, write_facts
from geomem.worlds.facts.table import FactTable, answers, find_answer, is_bijective
from geomem.worlds.graphs.atlas import europe, read_table


def said(table: FactTable, country: str, relation: str) -> str | None:
    answer = find_answer(table, table.subject_ids[country], table.relation_ids[relation])
    return None if answer < 0 else table.objects[answer]


def column(relation: str) -> dict[str, str]:
    table = countries()
    return {country: said(table, country, relation) or "" for country in table.subjects}


def test_every_country_has_every_fact_but_one():
    table = countries()
    assert table.relations == COUNTRY_RELATIONS
    missing = np.argwhere(answers(table) < 0).tolist()
    assert [(table.subjects[s], table.relations[r]) for s, r in missing] == [("Kosovo", "internet domain")]
    assert table.notes == ()


def test_the_file_says_what_it_is_and_is_sorted():
    text = (resources.files("geomem.worlds") / "data" / "countries.tsv").read_text(encoding="utf-8")
    comment = [line for line in text.splitlines() if line.startswith("#")]
    assert any("Source of the facts" in line for line in comment)
    assert "November 2026" in comment[0]
    header = text.splitlines()[len(comment)].split("\t")
    assert tuple(header) == ("country", *COUNTRY_RELATIONS)
    rows = read_table("countries")
    assert all(len(row) == 7 and row == [cell.strip() for cell in row] for row in rows)
    continents = list(dict.fromkeys(row[2] for row in rows))
    assert continents == ["Europe", "Asia", "Africa", "North America", "South America", "Oceania"]
    # By plain letters: São Tomé stands before Senegal.
    plain = [(continents.index(row[2]), row[0].replace("ã", "a")) for row in rows]
    assert plain == sorted(plain)


def test_members_of_the_united_nations_by_continent():
    counts = Counter(column("continent").values())
    # 43 + Kosovo and Vatican City; 193 members in all.
    assert counts == {
        "Europe": 45,
        "Asia": 47,
        "Africa": 54,
        "North America": 23,
        "South America": 12,
        "Oceania": 14,
    }


def test_all_countries_of_europe_are_there_with_the_capitals_of_the_atlas():
    capitals = column("capital")
    assert set(europe().labels) < set(capitals)
    for country, capital, *_ in read_table("europe_capitals"):
        assert capitals[country] == capital


def test_shapes_of_codes():
    for code in column("calling code").values():
        assert re.fullmatch(r"\+[1-9][0-9]{0,3}", code)
    for code in column("currency").values():
        assert re.fullmatch(r"[A-Z]{3}", code)
    for country, domain in column("internet domain").items():
        assert re.fullmatch(r"\.[a-z]{2}", domain) or country == "Kosovo"


def test_what_is_shared_and_what_is_not():
    assert is_bijective(countries()).tolist() == [True, False, False, False, False, False]
    domains = [domain for domain in column("internet domain").values() if domain]
    assert len(set(domains)) == len(domains) == 194
    codes = Counter(column("calling code").values())
    assert {code for code, count in codes.items() if count > 1} == {"+1", "+7", "+39"}
    # +1 with four digits more than once would tell no country.
    assert [country for country, code in column("calling code").items() if code == "+1"] == [
        "Canada",
        "United States",
    ]
    currencies = Counter(column("currency").values())
    # 21 members of the euro area in 2026, 4 states by agreement, Kosovo and Montenegro on their own.
    assert (currencies["EUR"], currencies["XOF"], currencies["XAF"], currencies["XCD"]) == (27, 8, 6, 6)


@pytest.mark.parametrize(
    ("country", "facts"),
    [
        ("France", ("Paris", "Europe", "EUR", "French", "+33", ".fr")),
        ("United Kingdom", ("London", "Europe", "GBP", "English", "+44", ".uk")),
        ("Switzerland", ("Bern", "Europe", "CHF", "German", "+41", ".ch")),
        ("Turkey", ("Ankara", "Asia", "TRY", "Turkish", "+90", ".tr")),
        ("Kazakhstan", ("Astana", "Asia", "KZT", "Kazakh", "+7", ".kz")),
        ("Japan", ("Tokyo", "Asia", "JPY", "Japanese", "+81", ".jp")),
        ("Sri Lanka", ("Sri Jayawardenepura Kotte", "Asia", "LKR", "Sinhala", "+94", ".lk")),
        ("South Africa", ("Pretoria", "Africa", "ZAR", "Zulu", "+27", ".za")),
        ("Ivory Coast", ("Yamoussoukro", "Africa", "XOF", "French", "+225", ".ci")),
        ("Jamaica", ("Kingston", "North America", "JMD", "English", "+1876", ".jm")),
        ("Brazil", ("Brasília", "South America", "BRL", "Portuguese", "+55", ".br")),
        ("Tuvalu", ("Funafuti", "Oceania", "AUD", "Tuvaluan", "+688", ".tv")),
        ("Bulgaria", ("Sofia", "Europe", "EUR", "Bulgarian", "+359", ".bg")),
    ],
)
def test_known_facts(country, facts):
    table = countries()
    assert tuple(said(table, country, relation) for relation in COUNTRY_RELATIONS) == facts


def test_borders_are_those_of_the_atlas():
    table, graph = countries_with_borders(), europe()
    expected: dict[str, set[str]] = {label: set() for label in table.subjects}
    for tail, head in graph.edges.tolist():
        expected[graph.labels[tail]].add(graph.labels[head])
        expected[graph.labels[head]].add(graph.labels[tail])
    relations = [relation for relation in table.relations if relation.startswith("borders")]
    assert relations == ["borders", *(f"borders ({number})" for number in range(2, 10))]
    for country, neighbours in expected.items():
        found = [neighbour for relation in relations if (neighbour := said(table, country, relation))]
        assert found == sorted(neighbours)
    facts = countries()
    for country in facts.subjects:
        for relation in COUNTRY_RELATIONS:
            assert said(table, country, relation) == said(facts, country, relation)


def test_the_capital_of_a_neighbour():
    table = countries_with_borders()
    assert [table.relations[r] for r in np.flatnonzero(composable_relations(table))] == [
        "borders",
        *(f"borders ({number})" for number in range(2, 10)),
    ]
    queries = all_chains(table, 2)
    neighbours = 2 * europe().edge_count
    to_facts = neighbours * len(COUNTRY_RELATIONS) - len(
        [edge for edge in europe().edges.ravel().tolist() if europe().labels[edge] == "Kosovo"]
    )
    degrees = np.bincount(europe().edges.ravel())
    assert queries.query_count == to_facts + int((degrees**2).sum())
    chains = {describe_chain(table, queries, query) for query in range(queries.query_count)}
    assert "Portugal, borders: Spain, capital: Madrid" in chains
    assert "Denmark, borders: Germany, borders (9): Switzerland" in chains
    asked = [table.relation_ids[relation] for relation in ("borders", "main language")]
    [answer] = chain_answers(table, np.array([table.subject_ids["Monaco"]]), np.array([asked]))
    assert table.objects[answer] == "French"


@pytest.mark.parametrize("build", [countries, countries_with_borders])
def test_the_tables_survive_a_file(tmp_path, build):
    write_facts(build(), tmp_path / "facts.tsv")
    assert read_facts(tmp_path / "facts.tsv").digest == build().digest
