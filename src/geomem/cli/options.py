"""Options of a verb: dataclasses and signatures read by tyro; everything wrong with them in one sentence."""

import io
import re
import sys
from collections.abc import Callable, Iterable, Mapping, Sequence
from contextlib import redirect_stderr, redirect_stdout
from dataclasses import MISSING, dataclass, field, fields, is_dataclass, make_dataclass
from inspect import Parameter, signature
from pathlib import Path
from typing import Annotated, Any, Literal, TypeVar, get_type_hints

import tyro

from geomem.cli.streams import escape_controls, styled_stream
from geomem.errors import InputError, unknown_name
from geomem.fields import check_fields
from geomem.worlds.columns import FileLayout
from geomem.worlds.facts.table import FactTable
from geomem.worlds.graphs.graph import Graph
from geomem.worlds.graphs.readers import read_graph
from geomem.worlds.text_file import show_label
from geomem.worlds.toml_file import read_toml, what_is_wrong

Options = TypeVar("Options")

LONGEST_NOTE = 2000
"""Characters of one note that are shown."""


@dataclass(frozen=True)
class FileOptions:
    """The layout of a file; whatever is not given is detected and printed."""

    columns: str = ""
    """The columns to read, by name or by number from 1, as in from,to or 1,3."""
    header: tyro.conf.FlagCreatePairsOff[bool] = False
    """The first line names the columns."""
    no_header: tyro.conf.FlagCreatePairsOff[bool] = False
    """The first line is data."""
    separator: str = ""
    """The column separator: tab, comma, semicolon, pipe, blank, or its characters, as in '->'."""
    comment: str = ""
    """The start of a comment, as in '#'; the word none if every line is data."""

    @property
    def layout(self) -> FileLayout:
        """What was said, for a reader; raises `InputError` for --header and --no-header at once."""
        if self.header and self.no_header:
            raise InputError("--header and --no-header contradict each other; give one of them.")
        return FileLayout(
            columns=self.columns or None,
            header=True if self.header else False if self.no_header else None,
            separator=self.separator or None,
            comment=self.comment or None,
        )


@dataclass(frozen=True)
class GraphFileOptions(FileOptions):
    """The layout of a file of edges; whatever is not given is detected and printed."""

    relation: str = ""
    """In a file of triples: the relation whose pairs are the edges, or all."""
    root: str = ""
    """The label of the root, if the graph is a path-star or tree-star."""

    def read(self, path: str | Path) -> Graph:
        """The graph of a file that is laid out as was said."""
        said = self.layout
        return read_graph(
            path,
            columns=said.columns,
            header=said.header,
            separator=said.separator,
            comment=said.comment,
            relation=self.relation or None,
            root=self.root or None,
        )


def check_no_layout(options: Any, world: str) -> None:
    """Raise `InputError` if an option on how a file is laid out is given for a built-in world.

    >>> check_no_layout(FileOptions(separator="tab"), "cycle")
    Traceback (most recent call last):
    geomem.errors.InputError: --separator is about files, and 'cycle' is a built-in world; leave it out.
    """
    for entry in fields(options):
        if getattr(options, entry.name) != entry.default:
            raise _about_files("--" + entry.name.replace("_", "-"), world)


def refuse_file_options(arguments: Iterable[str], world: str, known: Iterable[str]) -> None:
    """Raise `InputError` for an option about files among the arguments that a built-in world does not have.

    >>> refuse_file_options(["--columns", "5"], "grid", ["--rows", "--columns"])
    """
    about_files = set(option_names(GraphFileOptions)) - set(known)
    for argument in arguments:
        if (option := argument.partition("=")[0]) in about_files:
            raise _about_files(option, world)


def _about_files(option: str, world: str) -> InputError:
    return InputError(f"{option} is about files, and {world!r} is a built-in world; leave it out.")


def print_notes(world: Graph | FactTable) -> None:
    """Say on standard error what was understood, and decided, while a world was read."""
    for note in world.notes:
        print_note(f"{world.name}: {note}")


def print_note(note: str) -> None:
    """Say a note on standard error, its control characters as escapes and of bounded length."""
    print(show_label(note, LONGEST_NOTE), file=sys.stderr)


def parse_options(
    kind: type[Options],
    arguments: Sequence[str],
    *,
    verb: str,
    description: str,
    default: Options | None = None,
) -> Options:
    """Read arguments into a dataclass; nested dataclasses share one flat list of options.

    Prints the help and exits with status 0 when asked for it. Raises `InputError` for anything wrong.
    """
    complaint = io.StringIO()
    try:
        # A help has colours of its own.
        with redirect_stderr(complaint), redirect_stdout(styled_stream(sys.stdout)):
            options = tyro.cli(
                kind,
                prog=escape_controls(f"geomem {verb}"),
                description=description,
                args=list(arguments),
                default=tyro.MISSING_NONPROP if default is None else default,
                config=(tyro.conf.OmitArgPrefixes,),
            )
    except SystemExit as error:
        if not error.code:
            raise
        raise InputError(one_sentence(complaint.getvalue(), verb)) from None
    for group in (options, *vars(options).values()):
        if is_dataclass(group):  # what no machine has is refused before torch is imported
            check_fields(group)
    return options


OptionGroup = tuple[str, type, Any, str]
"""Name, dataclass, defaults and title of a group of options."""


def parse_groups(
    groups: Iterable[OptionGroup], arguments: Sequence[str], *, verb: str, description: str
) -> Any:
    """Read arguments into groups of options: an object with a dataclass by the name of every group.

    Raises `InputError` for anything wrong.

    >>> from geomem.training.configuration import Training
    >>> group = ("training", Training, Training(), "How it is trained.")
    >>> parse_groups([group], ["--steps", "5"], verb="memorize", description="").training.steps
    5
    """
    entries = [
        (name, Annotated[kind, tyro.conf.arg(help=title)], field(default=default))
        for name, kind, default, title in groups
    ]
    kind = make_dataclass("OptionGroups", entries, frozen=True)
    return parse_options(kind, arguments, verb=verb, description=description)


@dataclass(frozen=True)
class Head:
    """What a verb's other options depend on: the word that comes first, and a file of options."""

    key: str
    """What the first word is, and its key in the file: `world` or `facts`."""
    word: str
    """What comes first, or what the file says; empty if neither does."""
    arguments: list[str]
    """The rest of the command line."""
    configuration: dict[str, Any]
    """The file's options, without the first word."""
    path: Path | None
    """The file of --config."""

    @property
    def wants_help(self) -> bool:
        """Whether the help is asked for."""
        return any(argument in ("-h", "--help") for argument in self.arguments)

    def value(self, name: str, default: str = "") -> str:
        """An option's value on the command line or in the file, before all options are parsed."""
        return str(value_of(f"--{name}", self.arguments) or self.configuration.get(name, default))


def read_head(arguments: Sequence[str], key: str) -> Head:
    """Read the first word and the file of --config; raises `InputError` if the file cannot be read.

    >>> head = read_head(["cycle", "--model", "mamba"], "world")
    >>> head.word, head.arguments, head.value("model"), head.value("preset")
    ('cycle', ['--model', 'mamba'], 'mamba', '')
    """
    rest = list(arguments)
    word = rest.pop(0) if rest and not rest[0].startswith("-") else ""
    given = value_of("--config", rest)
    path = Path(given) if given else None
    configuration = read_configuration(path) if path else {}
    configured = configuration.pop(key, "")
    word = word or (configured if isinstance(configured, str) else "")
    return Head(key, word, rest, configuration, path)


def parse_rest(head: Head, groups: Sequence[OptionGroup], *, verb: str, word: str, description: str) -> Any:
    """Read what follows the head into groups of options, as `parse_groups` does.

    The command line overrides the file. Where no group is about files, `word` is a built-in world: an option
    about files is refused. Raises `InputError` for anything wrong.
    """
    known = option_names(*[kind for _, kind, _, _ in groups])
    if "file" not in [name for name, *_ in groups]:
        refuse_file_options([*(f"--{key}" for key in head.configuration), *head.arguments], word, known)
    given = configuration_arguments(head.configuration, known, path=head.path) if head.path else []
    verb = f"{verb} {word or head.key.upper()}"
    return parse_groups(groups, [*given, *head.arguments], verb=verb, description=description)


def one_sentence(complaint: str, verb: str) -> str:
    """What tyro says in a box, drawn in Unicode or in ASCII, as one sentence.

    >>> box = "╭─ Wrong ─╮\\n│ Unrecognized: --stepz │\\n│ ─── │\\n│ Perhaps you meant: │\\n│ --steps INT │"
    >>> one_sentence(box, "memorize")
    'unrecognized: --stepz; did you mean --steps? `geomem memorize --help` lists the options.'
    """
    lines = [line.strip("│╭╮╰╯ ") for line in complaint.splitlines()]
    # The title goes; rules stand around what is wrong (in ASCII one comes before it as well).
    body = "\n".join("" if set(line) <= set("─-") else line for line in lines[1:]).strip()
    wrong, _, rest = body.partition("\n\n")
    if wrong.startswith("Missing from"):
        # Each option is one step further in than the title, and what it is for two steps.
        named = complaint.partition("For full helptext")[0]
        names = re.findall(r"^(?:[│ ] )? {4}(\S.*?) *│?$", named, re.MULTILINE)
        wrong = f"{wrong.partition(':')[0]}: {', '.join(names)}"
    sentence = " ".join(wrong.split()).rstrip(".:") or "the options cannot be read"
    meant = re.search(r"Perhaps you meant:\s+(--[\w-]+)", rest)
    advice = f"did you mean {meant[1]}? " if meant else ""
    return f"{sentence[0].lower()}{sentence[1:]}; {advice}`geomem {verb} --help` lists the options."


def signature_options(function: Callable[..., Any]) -> type:
    """A dataclass whose fields are the parameters of a function, with their types and defaults.

    >>> def grid(rows: int = 4, *, columns: int = 5): ...
    >>> signature_options(grid)(rows=2)
    GridOptions(rows=2, columns=5)
    """
    types = get_type_hints(function)
    entries = []
    for parameter in signature(function).parameters.values():
        given = parameter.default is not Parameter.empty
        entries.append(
            (parameter.name, types[parameter.name], field(default=parameter.default if given else MISSING))
        )
    title = "".join(part.capitalize() for part in function.__name__.split("_"))
    return make_dataclass(f"{title}Options", entries, frozen=True, kw_only=True)


def with_choice(options: type, name: str, words: Iterable[str]) -> type:
    """The same options, of which one is a choice among the words known by now.

    >>> fields(with_choice(FileOptions, "comment", ["#", "%"]))[-1].type
    typing.Literal['#', '%']
    """
    default = next(entry.default for entry in fields(options) if entry.name == name)
    choice = (name, Literal[tuple(words)], field(default=default))
    return make_dataclass(options.__name__, [choice], bases=(options,), frozen=True)


def option_names(*groups: type) -> dict[str, str]:
    """Every option of flat groups of dataclasses, as `--name`, with the group it belongs to.

    Raises `ValueError` if two groups have an option of the same name: then one flat list cannot serve both.
    """
    names: dict[str, str] = {}
    for group in groups:
        for entry in fields(group):
            name = "--" + entry.name.replace("_", "-")
            if name in names:
                raise ValueError(f"{name} is an option of {names[name]} and of {group.__name__}")
            names[name] = group.__name__
    return names


def read_configuration(path: Path) -> dict[str, Any]:
    """Read a TOML file of options: one flat table, keys as on the command line, with dashes or underscores.

    Raises `InputError` if it is missing, larger than `LARGEST_CONFIGURATION`, not TOML, or holds a table, a
    date, a list of lists, a number beyond 64 bits or not finite, or a control character.
    """
    content = read_toml(path)
    for key, value in content.items():
        for entry in value if isinstance(value, list) else [value]:
            if wrong := what_is_wrong(entry):
                raise InputError(f"The key '{show_label(key)}' in {path} is {wrong}.")
    return {key.replace("_", "-"): value for key, value in content.items()}


def configuration_arguments(
    configuration: Mapping[str, Any], known: Iterable[str], *, path: Path
) -> list[str]:
    """The options of a TOML file as command-line arguments.

    Raises `InputError` for a key that is no option.

    >>> configuration_arguments({"steps": 5, "tied": False}, ["--steps", "--tied"], path=Path("a.toml"))
    ['--steps', '5', '--no-tied']
    """
    known = list(known)
    arguments = []
    for key, value in configuration.items():
        option = f"--{key}"
        if option not in known:
            names = [name.removeprefix("--") for name in known]
            raise unknown_name(
                f"The key '{show_label(key)}' in {path} is no option here", key, names, otherwise="remove it"
            )
        if isinstance(value, bool):
            arguments.append(option if value else f"--no-{key}")
        elif isinstance(value, list):
            arguments += [option, *map(str, value)]
        else:
            arguments += [option, str(value)]
    return arguments


def value_of(option: str, arguments: Sequence[str]) -> str | None:
    """The last value given to an option, before the arguments are parsed in earnest.

    >>> value_of("--model", ["cycle", "--model", "mamba", "--model=node2vec"])
    'node2vec'
    """
    found = None
    for number, argument in enumerate(arguments):
        if argument == option and number + 1 < len(arguments):
            found = arguments[number + 1]
        elif argument.startswith(option + "="):
            found = argument.removeprefix(option + "=")
    return found


def option_values(options: Any) -> dict[str, Any]:
    """The fields of a dataclass by name, as keyword arguments."""
    return {entry.name: getattr(options, entry.name) for entry in fields(options)}


def first_line(kind: type) -> str:
    """The first line of a class's docstring: the title of its options.

    >>> first_line(int)
    'int([x]) -> integer'
    """
    return (kind.__doc__ or "").partition("\n")[0]
