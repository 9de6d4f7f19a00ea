"""Commands as they describe themselves to click: what --help prints, for all commands of a group on one page."""

from __future__ import annotations

from collections.abc import Collection, Iterator

import click

from manual.roff import Page, bold, quote


def describe(page: Page, command: click.Command, name: str) -> None:
    """A command's text and options; where it has commands of its own, those too."""
    context = click.Context(command, info_name=name, **command.context_settings)
    page.section("SYNOPSIS")
    page.synopsis([_usage(context)])
    page.section("DESCRIPTION")
    page.paragraphs(command.help or "")
    page.section("OPTIONS")
    _options(page, context)
    if isinstance(command, click.Group):
        page.section("COMMANDS")
        for below in _leaves(context):
            page.subsection(_usage(below))
            page.paragraphs(below.command.help or "")
            _options(page, below, but=below.help_option_names)


def _leaves(context: click.Context) -> Iterator[click.Context]:
    """The commands below a group, in order; a group that does something by itself counts too."""
    group = context.command
    if not isinstance(group, click.Group):
        return
    for name in group.list_commands(context):
        command = group.get_command(context, name)
        if command is None or command.hidden:
            continue
        below = click.Context(command, info_name=name, parent=context)
        if not isinstance(command, click.Group) or command.help:
            yield below
        yield from _leaves(below)


def _usage(context: click.Context) -> str:
    """`submission user disable [OPTIONS] USER`, with what is typed as it stands in bold."""
    pieces = context.command.collect_usage_pieces(context)
    return " ".join([bold(context.command_path), *map(quote, pieces)])


def _options(page: Page, context: click.Context, but: Collection[str] = ()) -> None:
    """What help says of options; arguments have no more to say than the usage does."""
    for parameter in context.command.get_params(context):
        record = parameter.get_help_record(context)
        if record is not None and isinstance(parameter, click.Option) and parameter.opts[-1] not in but:
            names, text = record
            page.item(bold(names), text)
