"""The settings of a server from its flags and its environment, and what is wrong with them, each in a sentence."""

import os
import re
from collections.abc import Mapping, Sequence
from difflib import get_close_matches
from typing import Any

from pydantic import ValidationError
from pydantic_settings import CliApp, SettingsError

from thimble.service.settings import ADMIN_KEYS, API_KEYS, PREFIX, Settings

FIELDS = Settings.model_fields
FLAGS = {f"--{name.replace('_', '-')}": name for name, field in FIELDS.items() if name != "repository"}
SWITCHES = {
    **{flag: flag for flag, name in FLAGS.items() if FIELDS[name].annotation is bool},
    **{f"--no-{flag[2:]}": flag for flag, name in FLAGS.items() if FIELDS[name].annotation is bool},
}
VARIABLES = {*(PREFIX + name.upper() for name in FIELDS), API_KEYS, ADMIN_KEYS}
# How alike a name has to be to what it may have been meant to be.
ALIKE = 0.8
_NUMBER = re.compile(r"-\.?[0-9]").match
# Kubernetes, and Docker's links, put the address of a service NAME into a variable NAME_PORT.
_SERVICE_LINK = re.compile(r"(tcp|udp|sctp)://").match


class BadSettingsError(Exception):
    """`problems` are sentences."""

    def __init__(self, problems: list[str]) -> None:
        super().__init__("; ".join(problems))
        self.problems = problems


def read(arguments: Sequence[str]) -> Settings:
    """BadSettingsError. With --help the process ends."""
    if problems := _problems_of_flags(arguments):
        raise BadSettingsError(problems)
    try:
        return CliApp.run(Settings, [*arguments], cli_exit_on_error=False)
    except SettingsError as error:
        message = str(error).removeprefix("error parsing CLI: ")
        if (rest := message.removeprefix("unrecognized arguments: ")) != message:
            message = f"{_quoted(rest)} is too much: there is one repository, or one file"
        raise BadSettingsError([message]) from None
    except ValidationError as error:
        raise BadSettingsError([_problem(it, arguments) for it in error.errors()]) from None


def misspelt() -> list[str]:
    """Sentences on variables that say nothing, but are nearly called as those that do."""
    names = [name.removeprefix(PREFIX) for name in VARIABLES]
    return [
        f"{name} is no setting and is not looked at; {PREFIX}{meant} is one"
        for name in map(str.upper, os.environ)
        if name.startswith(PREFIX) and name not in VARIABLES
        for meant in get_close_matches(name.removeprefix(PREFIX), names, 1, ALIKE)
    ]


def _problems_of_flags(arguments: Sequence[str]) -> list[str]:
    """Sentences on flags that there are not, and on values of those that take none."""
    problems = []
    known = {*FLAGS, *SWITCHES, "--help", "-h"}
    for argument in arguments:
        if argument == "--":
            break
        flag, given, value = argument.partition("=")
        if len(flag) < 2 or flag[0] != "-" or _NUMBER(flag):
            continue
        if flag not in known:
            meant = get_close_matches(flag, known, 1, ALIKE)
            problems.append(f"there is no {_quoted(flag)[1:-1]}" + (f"; {meant[0]} is meant?" if meant else ""))
        elif flag in SWITCHES and given:
            on = SWITCHES[flag]
            problems.append(f"{flag} takes no value, it was given {_quoted(value)}: it is {on} or --no-{on[2:]}")
    return problems


def _problem(error: Mapping[str, Any], arguments: Sequence[str]) -> str:
    """One that pydantic found: the variable, the flag, the value, and what it should be."""
    field = str(error["loc"][0])
    flag, variable = _flag_of(field), PREFIX + field.upper()
    by_flag = any(argument.partition("=")[0] == flag for argument in arguments)
    set_there = next((name for name in os.environ if name.upper() == variable), variable)
    source = f"{flag} ({variable})" if by_flag else f"{set_there} ({flag})"
    problem = f"{source} is {_quoted(error['input'])}: {_reason(error)}"
    if field == "port" and _SERVICE_LINK(str(error["input"])):
        problem += "; Kubernetes sets it for a Service named thimble, unless a Pod has enableServiceLinks: false"
    return problem


def _quoted(value: object) -> str:
    """As a sentence has it: in printable ASCII, and not too long."""
    return ascii(str(value)[:100])


def _flag_of(field: str) -> str:
    return "REPOSITORY" if field == "repository" else f"--{field.replace('_', '-')}"


def _reason(error: Mapping[str, Any]) -> str:
    message = str(error["msg"]).removeprefix("Value error, ").partition(", unable to")[0]
    return message.replace("Input should be a valid boolean", "it should be true or false").replace("Input", "it")
