"""The command line `xsns-stream VERB`; each verb has a file in this package.

Results are written to stdout, all other output to stderr. Importing this package and printing a help page loads neither
torch nor numba: the file of a verb is imported when the verb is called, and its slow imports are inside its function.
"""

from __future__ import annotations

import _thread
import io
import os
import shutil
import signal
import sys
import threading
import traceback
from collections.abc import Mapping
from importlib import import_module
from types import FrameType
from typing import Any, Final

import click

from xsns_stream.cli.named_group import NamedGroup
from xsns_stream.cli.native_threads import set_native_threads
from xsns_stream.errors import ExitCode, XsnsError

#: {verb: one line of help}. The file xsns_stream/cli/VERB.py defines a click command named `command`.
VERBS: Final = {
    "build": "Measure languages: stream Fisher information, store sub-networks.",
    "matrix": "Compute the similarity matrix of the languages of a store.",
    "rank": "Rank source languages for a target language.",
    "report": "Make one HTML page with figures and tables of a store.",
    "shared": "Show the common parameters of the sub-networks of several languages.",
    "transfer": "Fine-tune on sources and test on targets, to measure gold scores.",
    "gold": "Import and show gold transfer scores.",
    "baseline": "Compute other predictors of transfer: typology, text, embeddings.",
    "evaluate": "Compare predictors with gold scores, with intervals and trivial baselines.",
    "regress": "Regress gold scores on predictors; predict scores with intervals.",
    "reproduce": "Reproduce the paper's tables and figures, step by step.",
    "info": "Show the contents of a store or of a corpus.",
    "verify": "Compare every bit of a store with its records.",
    "copy": "Copy a store, or some of its rows, into another.",
    "merge": "Merge stores that were built on several machines.",
    "relabel": "Give the rows of a language another label.",
    "prune": "Remove rows, saved Fisher values, or leftovers of crashes.",
    "export": "Write sub-networks to files for other programs.",
    "params": "Show the measured parameters of a model.",
}


#: What an interrupted verb has kept, and how to continue. Other verbs have kept nothing.
_KEPT: Final = {
    "build": "committed rows are kept; run the same command again to continue.",
    "transfer": "the scores of finished units are kept; run the same command again to continue.",
    "baseline": "unfinished baselines are not kept; run the same command again to compute them.",
    "reproduce": "finished steps are kept; run the same command again to continue.",
    "copy": "copied rows are kept; run the same command again to continue.",
    "merge": "copied rows are kept; run the same command again to continue.",
}


class _InterruptedError(KeyboardInterrupt):
    """Raised if the user interrupts a verb; the argument of the exception is the name of the verb."""


#: Whether this process has received SIGTERM, which batch systems send at the time limit of a job.
_terminated = threading.Event()


class _ReaderGoneError(Exception):
    """Raised if the program that reads stdout has closed it."""


class _Verbs(NamedGroup):
    noun = "verb"

    def summaries(self) -> Mapping[str, str]:
        return VERBS

    def parse_args(self, ctx: click.Context, args: list[str]) -> list[str]:
        ctx.meta["arguments"] = tuple(args)
        return super().parse_args(ctx, args)

    def load(self, name: str) -> click.Command:
        command: click.Command = import_module(f"xsns_stream.cli.{name}").command
        return command

    def invoke(self, ctx: click.Context) -> Any:
        try:
            done = super().invoke(ctx)
            _note_missing_fsync(ctx)
            return done
        except BrokenPipeError as error:
            # click would turn this error into exit code 1 before `main` sees it.
            raise _ReaderGoneError from error
        except (KeyboardInterrupt, click.Abort) as error:
            raise _InterruptedError(ctx.invoked_subcommand or "") from error
        except (XsnsError, OSError) as error:
            if ctx.meta.get("verbose"):
                traceback.print_exc()
            _print_error(*_message_and_hint(error))
            ctx.exit(error.exit_code if isinstance(error, XsnsError) else ExitCode.FAILURE)


def _hint_after(interruption: BaseException) -> str:
    """Return the hint for a verb that the user interrupted.

    Args:
        interruption: The exception that ended the verb. If it is an exception of click, its cause names the verb.
    """
    verb = next(
        (each.args[0] for each in (interruption, interruption.__cause__) if isinstance(each, _InterruptedError)), ""
    )
    return _KEPT.get(verb, "run the same command again.")


def _note_missing_fsync(ctx: click.Context) -> None:
    """Print a note if a file system on which this command has written does not support fsync."""
    from xsns_stream.io.atomic import refusal

    if not ctx.meta.get("quiet") and (sentence := refusal()):
        from xsns_stream.cli.output import note

        note(f"note: {sentence}", quiet=False)


@click.group(
    cls=_Verbs,
    context_settings={"help_option_names": ["-h", "--help"], "max_content_width": 100},
    epilog="Start with `xsns-stream build --lang all`, then `xsns-stream rank --target sw`.",
)
@click.version_option(package_name="xsns-stream", message="%(version)s")
def cli() -> None:
    """Choose a source language for cross-lingual transfer, from a model and raw text.

    The most important parameters of a language, by Fisher information, form its sub-network. Languages with overlapping
    sub-networks transfer well to one another (X-SNS, Yun et al. 2023).
    """


def main(args: list[str] | None = None, within_another: bool = False) -> None:
    """Run the command line and exit with a documented code.

    Args:
        args: Arguments of the command line; None for the arguments of this process.
        within_another: Whether another verb runs this verb and reports an interruption.

    Raises:
        KeyboardInterrupt: The user interrupted the verb, and `within_another` is True.
    """
    _prepare_streams()
    try:
        code = cli.main(args=args, prog_name="xsns-stream", standalone_mode=False)
        sys.stdout.flush()
    except click.exceptions.Exit as stop:
        code = stop.exit_code
    except click.UsageError as error:
        _print_usage_error(error)
        code = ExitCode.USAGE
    except click.ClickException as error:
        _print_error(error.format_message(), "")
        code = ExitCode.FAILURE
    except (KeyboardInterrupt, click.Abort) as error:
        if within_another:
            raise KeyboardInterrupt from None
        _print_error("terminated by SIGTERM." if _terminated.is_set() else "interrupted.", _hint_after(error))
        code = ExitCode.TERMINATED if _terminated.is_set() else ExitCode.INTERRUPTED
    except (_ReaderGoneError, BrokenPipeError):
        # The reader, such as `head`, does not need more output.
        code = ExitCode.OK
    except OSError as error:
        _print_error(*_message_and_hint(error))
        code = ExitCode.FAILURE
    except Exception as error:
        traceback.print_exc()
        _print_error(
            f"this is a bug in xsns-stream: {type(error).__name__}: {error}",
            "please report it with the lines above and your command.",
        )
        code = ExitCode.BUG
    _close_stdout()
    sys.exit(int(code or 0))


def run() -> None:
    """Run the command line as the main program of the process, for the console script `xsns-stream`."""
    sys.unraisablehook = _repeat_interrupt
    # If the caller has set this process to ignore the signal, the signal stays ignored.
    if signal.getsignal(signal.SIGTERM) == signal.SIG_DFL:
        signal.signal(signal.SIGTERM, _interrupt_as_terminated)
    set_native_threads()
    try:
        main()
    except SystemExit as stop:
        if stop.code in (ExitCode.INTERRUPTED, ExitCode.TERMINATED):
            # Interrupted threads of native libraries may abort the process while it ends, which would change its exit
            # code. All results are on disk at this point.
            sys.stderr.flush()
            _remove_temporary_folder()
            os._exit(int(stop.code))
        raise


def _remove_temporary_folder() -> None:
    """Remove the folder with the socket of the process that forks workers; at a normal end, Python removes it."""
    if forking := sys.modules.get("multiprocessing.forkserver"):
        shutil.rmtree(forking.util.get_temp_dir(), ignore_errors=True)


def _interrupt_as_terminated(number: int, frame: FrameType | None) -> None:
    """Handle SIGTERM like Ctrl-C, with another message and exit code; a second SIGTERM ends the process at once.

    Raises:
        KeyboardInterrupt: Always.
    """
    _terminated.set()
    signal.signal(number, signal.SIG_DFL)
    raise KeyboardInterrupt


def _repeat_interrupt(unraisable: sys.UnraisableHookArgs) -> None:
    """Repeat a Ctrl-C that Python ignored, because it occurred in a weak-reference callback or in `__del__`.

    Python calls this function with every exception that it ignores. A thread repeats the interrupt shortly afterwards,
    when the main thread has normally left the callback. If the main thread is still in the callback, Python calls this
    function again.
    """
    if issubclass(unraisable.exc_type, KeyboardInterrupt):
        again = threading.Timer(0.01, _thread.interrupt_main)
        again.daemon = True
        again.start()
    else:
        sys.__unraisablehook__(unraisable)


def _close_stdout() -> None:
    """Flush stdout, so that Python does not change the exit code if the reader of stdout has closed the pipe."""
    try:
        sys.stdout.flush()
    except OSError:
        os.dup2(os.open(os.devnull, os.O_WRONLY), sys.stdout.fileno())


def _prepare_streams() -> None:
    """Prepare stdout and stderr, so that neither a closed stdout nor a character outside their encoding is an error."""
    if sys.stdout is None:
        sys.stdout = open(os.devnull, "w", encoding="utf-8")  # noqa: PTH123, SIM115 — open until the program ends
    for stream in (sys.stdout, sys.stderr):
        if isinstance(stream, io.TextIOWrapper):
            stream.reconfigure(errors="replace")


def _message_and_hint(error: XsnsError | OSError) -> tuple[str, str]:
    if isinstance(error, XsnsError):
        return error.message, error.hint
    where = f" '{error.filename}'" if error.filename else ""
    return (
        f"cannot read or write{where}: {error.strerror or error}.",
        "check the path, the free space and the permissions.",
    )


def _print_usage_error(error: click.UsageError) -> None:
    message, _, hint = error.format_message().partition("\nhint: ")
    verb = error.ctx.command_path if error.ctx else "xsns-stream"
    # click lists each choice on its own line.
    _print_error(message.replace("\n\t", " "), hint or f"see `{verb} --help`.")


def _print_error(message: str, hint: str) -> None:
    """Print an error message and its hint. Both may contain names from files, so they are escaped."""
    from xsns_stream.cli.output import say

    say(f"error: {message}", err=True)
    if hint:
        say(f"hint: {hint}", err=True)
