"""The command `resomap models`: the models that can be built, and what one costs."""

from typing import Annotated

import typer

from resomap.commands.completion import complete_models
from resomap.commands.options import OverlayFiles
from resomap.errors import ConfigError
from resomap.text import format_count

CARD_SIDES = (64, 128, 224)


def models(
    words: Annotated[
        list[str] | None,
        typer.Argument(
            metavar="PATTERN",
            autocompletion=complete_models,
            help="A name, part of one, or a pattern with *.",
        ),
    ] = None,
    resolutions: Annotated[
        list[int] | None,
        typer.Option(
            metavar="SIDE", help="Sides in pixels, at which one model is described: 64 128 224."
        ),
    ] = None,
    configfile: OverlayFiles = None,
) -> None:
    """List the models that can be built, or describe one.

    Parameters and multiply-accumulates are those of a classifier of 1000 classes.

    Example: resomap models resnet18 --resolutions 64 128
    """
    from resomap.config.library_names import (
        INSTALL_TIMM,
        find_model,
        matching_names,
        only_name,
        registered_names,
    )
    from resomap.config.load import load_user_config

    # `--resolutions 64 128`: the first belongs to the option, the others follow as words.
    sides = [*(resolutions or []), *(int(word) for word in words or () if word.isdecimal())]
    patterns = [word for word in words or () if not word.isdecimal()]
    if len(patterns) > 1:
        raise ConfigError(f"give one name or pattern, not {' '.join(patterns)}")
    if min(sides, default=1) < 1:
        raise ConfigError(f"--resolutions: {min(sides)} is no side in pixels")
    pattern = patterns[0] if patterns else "*"
    known = load_user_config(configfile).models
    model = find_model(pattern, known)
    names = [] if model else matching_names(pattern, known)
    if sides and names:
        model = find_model(only_name(names, "--resolutions"), known)
    if model is None:
        typer.echo("\n".join(names))
        count = format_count(len(names), "model")
        typer.echo(f"{count}; `resomap models NAME` describes one", err=True)
        if not registered_names("timm"):
            typer.echo(f"timm is not installed: {INSTALL_TIMM}", err=True)
        return
    # Imported here: it loads torch, which takes a second.
    from resomap.network_card import card_lines

    typer.echo("\n".join(card_lines(model, sides or CARD_SIDES)))
