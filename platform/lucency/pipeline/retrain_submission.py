"""How a new training is started: on a cluster's job server, or here, in a process of its own."""

import json
import shlex
import subprocess
import sys
from collections.abc import Callable, Sequence
from typing import Any

import ray.exceptions
import yaml
from ray.job_submission import JobSubmissionClient

from lucency import progress
from lucency.config.pipeline import PipelineConfig
from lucency.config.retrain import Submission
from lucency.errors import ClusterError, ConfigError

# A command to be run, and the id under which it is known; gives what is known of it after.
Submit = Callable[[Sequence[str], str], dict[str, Any]]


class NotTaken(ClusterError):
    """The job server answered that it does not take the job: nothing was started."""


def command(submission: Submission, work: str) -> list[str]:
    """
    The pipeline with a work folder of its own; what is wrong is told before anything starts.

    Raises:
        ConfigError: its configuration is wrong, or its store would be lost with a cluster's copy
            of the checkout.
    """
    overrides = [*submission.overrides, f"work={work}", "serve=null"]
    found = PipelineConfig.from_file(submission.config, overrides)
    if submission.address is not None and not found.store.is_absolute():
        raise ConfigError(
            f"submission.config: store {str(found.store)!r} is relative, and a job on "
            f"{submission.address} runs in a copy of the checkout that is thrown away: add "
            "store=/FOLDER/THAT/ALL/NODES/SHARE to submission.overrides"
        )
    return ["jobs/pipeline.py", str(submission.config), *overrides]


def submitter(submission: Submission) -> Submit:
    """
    What starts the command; a cluster is asked first whether it is there and lets us in.

    Raises:
        ClusterError: it is not, or it does not.
    """
    return here if submission.address is None else _on_cluster(submission, submission.address)


def here(line: Sequence[str], name: str) -> dict[str, Any]:
    """Run it to its end; its last line is the pipeline's result."""
    with (
        progress.stage(name),
        subprocess.Popen([sys.executable, *line], stdout=subprocess.PIPE, text=True) as process,
    ):
        try:
            out, _ = process.communicate()
        except KeyboardInterrupt:
            # Ctrl-C reached it too, a supervisor's SIGTERM did not; it ends its own Ray, and is
            # not to be killed while it does.
            process.terminate()
            process.wait()
            progress.say(f"    {name} goes on by: python {shlex.join(line)}")
            raise
    lines = out.strip().splitlines()
    return {"exit_status": process.returncode, "result": json.loads(lines[-1]) if lines else None}


def _on_cluster(submission: Submission, address: str) -> Submit:
    given = yaml.safe_load(submission.runtime_env.read_text(encoding="utf-8"))
    try:
        client = JobSubmissionClient(address)
    except (OSError, RuntimeError, ray.exceptions.AuthenticationError) as cause:
        raise ClusterError(
            f"no job can be given to {address}: {_first(cause)}. Its token goes into "
            "RAY_AUTH_TOKEN; nothing was submitted"
        ) from cause

    def on_cluster(line: Sequence[str], name: str) -> dict[str, Any]:
        try:
            client.submit_job(
                entrypoint=shlex.join(["python", *line]),
                submission_id=name,
                runtime_env={"working_dir": ".", **given},
            )
        except RuntimeError as cause:  # how the client tells that the server said no
            raise NotTaken(f"{address} does not take the job: {_first(cause)}") from cause
        progress.say(f"    ray job logs --address {address} --follow {name}")
        return {"address": address}

    return on_cluster


def _first(error: BaseException) -> str:
    return str(error).strip().splitlines()[0].removesuffix(".")
