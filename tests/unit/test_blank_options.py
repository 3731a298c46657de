"""An empty value of an option, most often a variable that was never set, is no default: nothing runs with it."""

from __future__ import annotations

import click
import pytest
from click.testing import CliRunner

from boast_source.commands.main import boast
from boast_source.errors import ConfigurationError
from boast_source.jobs.push import push_job


def texts(command, path=()):
    """Path and option of every option of every command that takes a text."""
    if isinstance(command, click.Group):
        for name, one in command.commands.items():
            yield from texts(one, (*path, name))
    for option in command.params:
        if (
            isinstance(option, click.Option)
            and not option.is_flag
            and isinstance(option.type, click.types.StringParamType)
        ):
            yield [*path, option.opts[0]]


@pytest.mark.parametrize("words", list(texts(boast)), ids=" ".join)
@pytest.mark.parametrize("value", ["", " "])
def test_an_empty_option_is_refused(words, value):
    done = CliRunner().invoke(boast, [*words, value])
    assert done.exit_code == 2
    assert words[-1] in done.output


@pytest.mark.parametrize("name", ["approve", "only", "pending", "plan"])
def test_so_is_an_empty_argument_of_the_job(name):
    with pytest.raises(ConfigurationError, match=f"{name} is empty"):
        push_job(**{name: ""})
