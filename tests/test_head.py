"""The first word of a verb and its file of options, read in one way by memorize, paths and learn."""

import pytest

from geomem.cli import learn, memorize, paths
from geomem.errors import InputError


@pytest.mark.parametrize(("verb", "key"), [(memorize, "world"), (paths, "world"), (learn, "facts")])
@pytest.mark.parametrize("value", ["5", "[1, 2]", "true"])
def test_a_first_word_that_is_no_text_is_none(tmp_path, verb, key, value):
    file = tmp_path / "options.toml"
    file.write_text(f"{key} = {value}\n")
    with pytest.raises(InputError, match=f"Give (a )?{key} first"):
        verb.read_arguments(["--config", str(file)])
    with pytest.raises(SystemExit) as stopped:
        verb.read_arguments(["--config", str(file), "--help"])
    assert stopped.value.code == 0


@pytest.mark.parametrize(("verb", "key"), [(memorize, "world"), (paths, "world")])
def test_the_file_names_world_and_model_and_the_command_line_overrides_it(tmp_path, verb, key):
    file = tmp_path / "options.toml"
    file.write_text('world = "path-star"\narms = 9\nlength = 4\nmodel = "gru"\nwidth = 8\n')
    found = verb.read_arguments(["--config", str(file), "--width", "16"])
    model = found.model if verb is paths else found[1].model
    assert (model.name, model.width) == ("gru", 16)
