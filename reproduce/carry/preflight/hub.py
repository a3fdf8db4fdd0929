"""Questions to the hub that download no weights and no data, and leave nothing in its cache."""

import json
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import PurePosixPath
from typing import Any, NamedTuple

from huggingface_hub import HfApi, HfFileSystem
from huggingface_hub.errors import (
    EntryNotFoundError,
    GatedRepoError,
    HfHubHTTPError,
    HFValidationError,
    RepositoryNotFoundError,
    RevisionNotFoundError,
)
from pyarrow import ArrowException, parquet
from requests import RequestException

from fun.errors import HubError
from fun.machine.hub import Repository, first_line

FORBIDDEN = (401, 403)

TIMEOUT = 20.0
"""Seconds to wait for an answer: behind some firewalls none ever comes."""

ANOTHER, OLDER = "give another repository or revision", "name an older revision in conf/datasets"
"""What helps where a repository is not what it was."""


class Result(StrEnum):
    """What a check comes to."""

    ok = "ok"
    missing = "missing"
    differs = "differs"


class Unmet(Exception):
    """What was found is not what is needed; `remedy` says what to do."""

    def __init__(self, result: Result, found: str, remedy: str) -> None:
        super().__init__(found)
        self.result = result
        self.remedy = remedy


class Table(NamedTuple):
    """What a parquet file says of itself."""

    columns: tuple[str, ...]
    rows: int


class Listing(NamedTuple):
    """The files of a repository at one commit."""

    repository: Repository
    commit: str
    files: tuple[str, ...]

    def any_of(self, names: Iterable[str]) -> str:
        """The first of these files that there is. Raises Unmet."""
        wanted = tuple(names)
        for name in wanted:
            if name in self.files:
                return name
        raise Unmet(Result.missing, f"neither {' nor '.join(wanted)}", ANOTHER)

    def matching(self, pattern: str) -> list[str]:
        """The files that match a pattern, in their order. Raises Unmet where there is none."""
        # As Path.glob: a star stays within its folder.
        if found := sorted(name for name in self.files if PurePosixPath("/", name).match(f"/{pattern}")):
            return found
        others = ", ".join(self.files[:2])
        raise Unmet(
            Result.missing,
            f"no such file among {len(self.files)} ({others}, …)",
            f"the publisher may have renamed it: {OLDER}",
        )


class Hub:
    """The hub at `endpoint`, by default at $HF_ENDPOINT.

    Its methods raise Unmet for what is not there or not permitted, HubError where the hub does not answer.
    """

    def __init__(self, endpoint: str | None = None) -> None:
        self._api = HfApi(endpoint=endpoint)
        # An instance of its own: one that this process made before may remember an older state.
        self._files = HfFileSystem(endpoint=endpoint, skip_instance_cache=True)
        self._listings: dict[Repository, Listing] = {}

    def listing(self, repository: Repository) -> Listing:
        """The files of a repository at its revision."""
        if repository not in self._listings:
            with _asking(repository):
                found = self._api.repo_info(
                    repository.name, revision=repository.revision, repo_type=repository.kind, timeout=TIMEOUT
                )
            names = tuple(sibling.rfilename for sibling in found.siblings or ())
            self._listings[repository] = Listing(repository, str(found.sha), names)
        return self._listings[repository]

    def description(self, listing: Listing, name: str) -> dict[str, Any]:
        """A small JSON file."""
        try:
            with _asking(listing.repository):
                content = self._files.cat_file(_path(listing, name))
            found: dict[str, Any] = json.loads(content)
        except ValueError as error:
            raise Unmet(Result.differs, f"{name} is no JSON", ANOTHER) from error
        return found

    def table(self, listing: Listing, name: str) -> Table:
        """Columns and number of rows of a parquet file, from its end."""
        try:
            with _asking(listing.repository), self._files.open(_path(listing, name)) as file:
                found = parquet.read_metadata(file)
        except ArrowException as error:
            raise Unmet(Result.differs, f"{name} is no parquet file", OLDER) from error
        return Table(tuple(found.schema.to_arrow_schema().names), found.num_rows)


@contextmanager
def _asking(repository: Repository) -> Iterator[None]:
    """Turns what the client raises into Unmet and HubError."""
    try:
        yield
    except HFValidationError as error:
        raise Unmet(Result.missing, "no id of the hub", "give hub:<namespace>/<name>") from error
    except GatedRepoError as error:
        raise Unmet(
            Result.missing,
            "it asks for permission",
            f"accept the terms on the page of {repository.name}, then log in with hf auth login",
        ) from error
    except RepositoryNotFoundError as error:
        raise Unmet(
            Result.missing,
            "no such repository, or none that you may read",
            "check the id; if it is private, log in with hf auth login",
        ) from error
    except RevisionNotFoundError as error:
        raise Unmet(
            Result.missing, f"no revision {repository.revision}", "give a branch, tag or commit of the repository"
        ) from error
    except (EntryNotFoundError, FileNotFoundError) as error:
        raise Unmet(Result.missing, "a file that is listed and cannot be had", ANOTHER) from error
    except HfHubHTTPError as error:
        if error.response is not None and error.response.status_code in FORBIDDEN:
            raise Unmet(
                Result.missing, "your token was refused", "log in anew with hf auth login, or unset HF_TOKEN"
            ) from error
        raise HubError(f"the hub did not answer about {repository} ({first_line(error)}): type it again") from error
    except (RequestException, OSError) as error:
        raise HubError(
            "the hub cannot be reached, and preflight asks it everything: type the same command on a machine with a "
            "network, without HF_HUB_OFFLINE"
        ) from error


def _path(listing: Listing, name: str) -> str:
    """As HfFileSystem wants it; by commit, so that all answers are about one state."""
    prefix = "datasets/" if listing.repository.kind == "dataset" else ""
    return f"{prefix}{listing.repository.name}@{listing.commit}/{name}"
