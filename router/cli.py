# SPDX-License-Identifier: Apache-2.0
"""The command line: data on standard output, messages on standard error, exit codes as in `router.errors`."""

from __future__ import annotations

import contextlib
import os
import sys
from dataclasses import replace
from importlib import import_module
from pathlib import Path
from typing import TYPE_CHECKING, Any, Final

import click
import redis

from router import __version__
from router.config import Settings, read
from router.errors import ConfigError, RedisUnavailableError, RouterError
from router.redis_io import rights
from router.redis_io.acl import naming_rights
from router.redis_io.client import connect, explained, file_problems
from router.redis_io.keys import Keys, catalogue
from router.redis_url import parse

if TYPE_CHECKING:
    from collections.abc import Iterator

USAGE_EXIT_CODE: Final = 64
#: Command -> the module in `router.commands` that holds it; only the one that is called is imported, for a quick start.
MODULES: Final = {
    "run": "service",
    "check": "service",
    "acl": "service",
    "version": "service",
    "status": "operate",
    "halt": "operate",
    "resume": "operate",
    "reconcile": "operate",
    "capacity": "operate",
    "snapshot": "proof",
    "soak": "proof",
    "judge": "proof",
    "drill": "drill",
    "replay": "simulation",
    "simulate": "simulation",
}

#: Behind the name of the service's user: the user of who deploys and operates, where the role makes the users.
DEPLOYMENT_SUFFIX: Final = "-deployment"
#: Characters of a text that a person gives and Redis keeps.
MAX_TEXT_LENGTH: Final = 200

json_option = click.option("--json", "as_json", is_flag=True, help="Print JSON.")


def printing(_context: click.Context, _option: click.Parameter, value: str | None) -> str | None:
    """Return the text of an option that others will read, None when it is not given; a callback of click."""
    text = None if value is None else value.strip()
    if text is None or (0 < len(text) <= MAX_TEXT_LENGTH and text.isprintable()):
        return text
    raise click.BadParameter(f"must be 1 to {MAX_TEXT_LENGTH} characters that print")


class _Commands(click.Group):
    """A group whose errors are one line and whose exit codes are sysexits'."""

    def list_commands(self, ctx: click.Context) -> list[str]:  # noqa: ARG002 - click's own signature
        return list(MODULES)

    def get_command(self, ctx: click.Context, cmd_name: str) -> click.Command | None:  # noqa: ARG002 - click's own
        wanted = [cmd_name] if cmd_name in MODULES else MODULES  # for a mistyped one click names the nearest
        for name in wanted:
            self.add_command(vars(import_module(f"router.commands.{MODULES[name]}"))[name], name)
        return self.commands.get(cmd_name)

    def main(self, *args: Any, **options: Any) -> Any:  # noqa: ANN401 - click's own signature
        try:
            return super().main(*args, **{**options, "standalone_mode": False})
        except click.ClickException as error:
            error.show()
            sys.exit(USAGE_EXIT_CODE)
        except click.Abort:
            sys.exit(130)
        except RouterError as error:
            click.echo(error, err=True)
            sys.exit(error.exit_code)


@click.group(cls=_Commands, context_settings={"help_option_names": ["-h", "--help"]})
@click.version_option(__version__, message="quantum-router %(version)s")
def main() -> None:
    """Publish the best few trading signals per window. Settings come from the environment."""


@contextlib.contextmanager
def redis_of_environment(retries: int = 2, *, service: bool = False) -> Iterator[tuple[redis.Redis, Settings, Keys]]:
    """Yield a client, the settings and the keys of this environment.

    It is logged in as who deploys and operates where there is such a user, and as the *service* for who asks about it.
    """
    settings = settings_of_environment()
    settings = settings if service else of_deployment(settings)
    with contextlib.closing(connect(settings, retries)) as client:
        keys = catalogue(settings)
        needed = rights.service if service else rights.deployment
        try:
            with naming_rights(client, settings, needed(keys, settings)):
                yield client, settings, keys
        except redis.RedisError as error:
            raise RedisUnavailableError(f"Redis at {settings.redis_url}: {explained(settings, error)}") from None


def of_deployment(settings: Settings) -> Settings:
    """Return *settings* with the login of who deploys, where the role has made one: its password lies with the others.

    Within the service's own unit there is none, for its credentials are its own alone.
    """
    folder, user = os.environ.get("CREDENTIALS_DIRECTORY"), parse(settings.redis_url).user
    name = f"{user}{DEPLOYMENT_SUFFIX}"
    if not (folder and user and Path(folder, f"{name}.password").is_file()):
        return settings
    url = settings.redis_url.replace(f"://{user}@", f"://{name}@", 1)
    return replace(settings, redis_url=url, redis_password_file=f"{name}.password")


def settings_of_environment() -> Settings:
    """Return the settings; raise ConfigError with what is wrong with them and, then, with the files that they name."""
    settings, problems = read(os.environ)
    if problems:
        raise ConfigError(problems + file_problems(settings))
    return settings
