"""The commands. Each is thin, and imports what is heavy only when it runs."""

from __future__ import annotations

import sys
from functools import partial
from pathlib import Path
from typing import Annotated

import typer

import isogloss
from isogloss.cli import completion
from isogloss.cli.exits import ended
from isogloss.cli.parameters import Backbone, Method, NoTexts, RunDirectory, Seed, Traceback, as_path
from isogloss.errors import unknown
from isogloss.runtime.environment import COMMAND
from isogloss.runtime.launch import launch

STANDARD_INPUT = Path("-")
app = typer.Typer(
    help="Train in one language, know how well it works in every other, and close the gap.",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["--help", "-h"]},
)


def _version(asked: bool | None) -> None:
    if asked:
        typer.echo(f"isogloss {isogloss.__version__}")
        raise typer.Exit


@app.callback()
def _options(
    _version: Annotated[
        bool | None, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = None,
) -> None:
    pass


@app.command()
def run(
    spec: Annotated[
        str, typer.Argument(help="A spec file (YAML), or the name of a preset.", autocompletion=completion.specs)
    ],
    out: Annotated[Path | None, typer.Option(parser=as_path, help="The run directory; left out: runs/NAME.")] = None,
    set_: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="Change one key of the spec.")
    ] = None,
    dry_run: Annotated[
        bool, typer.Option("--dry-run", help="Check the spec and say what would be fetched and trained.")
    ] = False,
    executor: Annotated[
        str | None,
        typer.Option(
            help="What carries out the jobs: serial, ray, slurm, distributed; left out: as the spec says.",
            autocompletion=completion.executors,
        ),
    ] = None,
    detach: Annotated[
        bool, typer.Option("--detach", help="Submit, gather what has ended, and leave; run again to gather the rest.")
    ] = False,
    _traceback: Traceback = False,
) -> None:
    """Train, evaluate, store, and print the table."""
    from isogloss.spec import read_spec

    read = read_spec(spec, set_)
    folder = out or Path("runs") / read.name
    place = launch()
    leads = place is None or place.rank == 0
    if dry_run:
        from isogloss.cli.dry_run import describe
        from isogloss.executors.registry import executor as executor_of

        chosen = executor_of(read.executor, executor, detach=detach)
        if leads:
            describe(read, folder, chosen if read.executor or executor else None)
        return
    from isogloss import api
    from isogloss.runtime.console import out as console
    from isogloss.runtime.console import say

    results = api.run(read, folder, executor=executor, detach=detach)
    if leads and (not detach or results.store.finished()):
        console.print(results.table())
        say(f"stored in {results.path}")


@app.command()
def status(
    folder: RunDirectory,
    _traceback: Traceback = False,
) -> None:
    """Say what of a run is finished, at work or on a cluster, and what is missing; it writes nothing."""
    from isogloss.executors.slurm_states import cluster_jobs
    from isogloss.reports.comparison_status import status_report
    from isogloss.runtime.console import out as console

    console.print(status_report(folder, cluster_jobs), soft_wrap=True)


@app.command()
def predict(
    folder: RunDirectory,
    file: Annotated[
        Path | None,
        typer.Argument(
            parser=as_path,
            help="Texts, one a line; or a table in .csv, .tsv, .jsonl or .parquet; left out, or -: standard input.",
        ),
    ] = None,
    method: Method = None,
    seed: Seed = None,
    language: Annotated[
        str | None, typer.Option(help="Written into the answers.", autocompletion=completion.languages)
    ] = None,
    text_column: Annotated[
        str | None, typer.Option(help="Of a table; left out: text, and of questions question.")
    ] = None,
    second_column: Annotated[
        str | None, typer.Option(help="Of pairs and questions; left out: second, and of questions passage.")
    ] = None,
    scores: Annotated[bool, typer.Option("--scores", help="Add the probability of every class.")] = False,
    threshold: Annotated[
        float | None, typer.Option(help="Withhold an answer whose score is lower: null stands in its place.")
    ] = None,
    output: Annotated[
        Path | None,
        typer.Option(
            parser=as_path,
            help="A file of answers: .jsonl, .csv, .tsv or .parquet; left out: JSON lines, to be read on.",
        ),
    ] = None,
    backbone: Backbone = None,
    _traceback: Traceback = False,
) -> None:
    """Label new text with a stored run: a line of JSON for each text, or a table with answers beside its columns."""
    from isogloss.cli.predict.labelling import Request, label
    from isogloss.experiment.choice import chosen_run
    from isogloss.interop.hub import local_run_directory

    meant = chosen_run(local_run_directory(folder, str(folder)), method, seed, backbone)
    request = Request(
        None if file == STANDARD_INPUT else file, method=method, seed=seed, language=language,
        columns=(text_column, second_column), scores=scores, threshold=threshold, output=output,
        backbone=meant.backbone,
    )  # fmt: skip
    label(meant.path, request)


@app.command()
def export(
    folder: RunDirectory,
    out: Annotated[Path, typer.Argument(parser=as_path, metavar="OUT", help="A new or empty folder.")],
    to: Annotated[
        str,
        typer.Option(
            help="peft, transformers, sentence-transformers or onnx; of the scores mteb, lm-eval or every-eval-ever.",
            autocompletion=completion.formats,
        ),
    ],
    method: Method = None,
    seed: Seed = None,
    backbone: Annotated[
        str | None, typer.Option(metavar="NAME", help="Of a comparison, which; left out: that of the best.")
    ] = None,
    push: Annotated[str | None, typer.Option(metavar="ORG/NAME", help="Publish it on the hub as well.")] = None,
    _traceback: Traceback = False,
) -> None:
    """Write a stored model as another library loads it, and check it there; or scores as other projects read them."""
    from isogloss import api
    from isogloss.runtime.console import say

    made = api.export(folder, out, to=to, method=method, seed=seed, backbone=backbone, push=push, show=say)
    for one in made if isinstance(made, list) else [made]:
        say(one)


@app.command()
def serve(
    folders: Annotated[
        list[str],
        typer.Argument(
            metavar="DIR…",
            help="Run directories or exports, whose names are the models'; or NAME=DIR.",
            autocompletion=completion.run_directories,
        ),
    ],
    host: Annotated[str, typer.Option(help="To listen on; one that other machines reach needs a token.")] = "127.0.0.1",
    port: Annotated[int, typer.Option(min=0, max=65535, help="To listen on; 0: any that is free.")] = 8000,
    method: Method = None,
    seed: Seed = None,
    every: Annotated[
        bool, typer.Option("--all", help="Every method and seed, as NAME/METHOD/SEED, not the best alone.")
    ] = False,
    token_file: Annotated[
        Path | None,
        typer.Option(parser=as_path, help="Holds the token that requests bring; left out: $ISOGLOSS_TOKEN, if set."),
    ] = None,
    limit: Annotated[
        list[str] | None,
        typer.Option(
            "--limit",
            metavar="NAME=NUMBER",
            help="Another limit: of body, texts, characters, queue, requests, seconds or wait.",
        ),
    ] = None,
    log: Annotated[bool, typer.Option("--log", help="Write a line a request, without what it says.")] = False,
    backbone: Backbone = None,
    _traceback: Traceback = False,
) -> None:
    """Answer requests over HTTP with stored runs, until it is told to end."""
    from isogloss.interop.serve.server import serve as serve_models

    serve_models(
        folders, host=host, port=port, method=method, seed=seed, every=every, token_file=token_file,
        limits=limit or [], log=log, backbone=backbone,
    )  # fmt: skip


@app.command()
def analyze(
    folder: RunDirectory,
    names: Annotated[
        list[str] | None,
        typer.Argument(
            help="Such as gap, distance or boundary; left out: all that DIR allows.", autocompletion=completion.analyses
        ),
    ] = None,
    method: Annotated[
        list[str] | None, typer.Option(help="Of these methods only.", autocompletion=completion.methods)
    ] = None,
    examples: Annotated[int, typer.Option(min=1, help="Of each target, where models are run many times.")] = 32,
    parallel: Annotated[
        Path | None,
        typer.Option(
            parser=as_path, help="Parallel sentences in SIB-200's layout; left out: the spec's, or the run's."
        ),
    ] = None,
    sentences: Annotated[int, typer.Option(min=4, help="Of them, of each language.")] = 100,
    reference: Annotated[
        str | None,
        typer.Option(
            help="The method that others are held against; left out: the first.", autocompletion=completion.methods
        ),
    ] = None,
    no_texts: NoTexts = False,
    quiet: Annotated[bool, typer.Option("--quiet", help="Say no more than where tables and figures lie.")] = False,
    _traceback: Traceback = False,
) -> None:
    """Find out where the gap comes from: tables and figures in DIR/analysis."""
    from isogloss import api
    from isogloss.analysis.analysis import FOLDER
    from isogloss.analysis.run import AnalysisOutcome
    from isogloss.experiment.comparison import opened_comparison
    from isogloss.runtime.console import out as console
    from isogloss.runtime.console import say

    made: list[str] = []

    def show(outcome: AnalysisOutcome) -> None:
        if outcome.result is None:  # why one failed is said at the end
            told = "failed; the reason stands at the end" if outcome.failed else f"left out; {outcome.reason}"
            console.print(f"{outcome.name}: {told}", style="dim", soft_wrap=True)
            return
        made.append(outcome.name)
        for part in outcome.result.shown if not quiet else []:
            console.print(part)

    try:
        api.analyze(
            folder, *(names or []), methods=method or [], examples=examples, parallel=parallel, sentences=sentences,
            reference=reference, texts=not no_texts, show=show,
        )  # fmt: skip
    finally:
        comparison = opened_comparison(folder)
        for path in [folder] if comparison is None else [stored.path for stored in comparison.stores.values()]:
            if made:
                say(f"tables and figures in {path / FOLDER}")


@app.command()
def report(
    folders: Annotated[
        list[Path],
        typer.Argument(
            parser=as_path,
            metavar="DIR…",
            help="Run directories; several are compared.",
            autocompletion=completion.run_directories,
        ),
    ],
    out: Annotated[
        Path | None,
        typer.Option(parser=as_path, help="The page; left out: DIR/report.html, or comparison.html in the first."),
    ] = None,
    reference: Annotated[
        str | None,
        typer.Option(
            help="The method that others are held against; left out: the first.", autocompletion=completion.methods
        ),
    ] = None,
    good_enough: Annotated[
        float | None,
        typer.Option(
            metavar="SCORE", help="Say what can ship: languages by whether they score so much, a fraction such as 0.8."
        ),
    ] = None,
    no_texts: NoTexts = False,
    _traceback: Traceback = False,
) -> None:
    """Write one HTML page that tells what came out, and its tables and figures beside it."""
    from isogloss import api
    from isogloss.runtime.console import say

    say(api.report(folders, out, reference=reference, good_enough=good_enough, texts=not no_texts, show=say))


@app.command("list")
def list_(
    what: Annotated[
        str,
        typer.Argument(
            metavar="WHAT", help="tasks, methods, backbones, presets or languages", autocompletion=completion.lists
        ),
    ],
    _traceback: Traceback = False,
) -> None:
    """Show what there is."""
    from isogloss.cli.catalog import LISTS

    if what not in LISTS:
        raise unknown("list", what, LISTS)
    from isogloss.runtime.console import out as console

    console.print(LISTS[what]())


@app.command()
def data(
    task: Annotated[
        str, typer.Argument(help="A data set; see `isogloss list tasks`.", autocompletion=completion.tasks)
    ],
    path: Annotated[Path | None, typer.Option(parser=as_path, help="A folder in the data set's own layout.")] = None,
    language: Annotated[
        str | None, typer.Option(help="Left out: the source.", autocompletion=completion.card_languages)
    ] = None,
    _traceback: Traceback = False,
) -> None:
    """Show real samples, label counts, and problems found."""
    from isogloss.cli.inspect_data import look
    from isogloss.runtime.console import out as console

    for part in look(task, path, language):
        console.print(part)


@app.command("data-card")
def data_card(
    folder: Annotated[Path, typer.Argument(parser=as_path, help="A folder of files, one a language and split.")],
    _traceback: Traceback = False,
) -> None:
    """Draft a card for your own files, to be read with `task: custom`."""
    from isogloss.data.card_draft import draft
    from isogloss.runtime.console import say

    card = draft(folder)
    say(card.read_text(encoding="utf-8"))
    say(f"written to {card}; look it over, then: isogloss data custom --path {folder}")


def main() -> None:
    """Entry point: mistakes of input end in one line and exit code 2."""
    before = COMMAND.set([Path(sys.argv[0]).name, *sys.argv[1:]])
    try:
        ended(partial(app, standalone_mode=False))
    finally:
        COMMAND.reset(before)


if __name__ == "__main__":
    main()
