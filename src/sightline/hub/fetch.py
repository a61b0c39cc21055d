"""Fetching a repository through huggingface_hub: safe files only, into its shared cache."""

from __future__ import annotations

from pathlib import Path

from sightline.core.errors import FolderError

SMALL = ("*.json", "*.jinja", "*.model", "*.txt", "*.tiktoken", "*.yaml", "*.md")
WEIGHTS = ("*.safetensors",)
# Pickled weights, fetched only where there is nothing else; loading converts them in a child.
PICKLED = ("pytorch_model*.bin",)
# Subfolders hold other formats; consolidated files hold the same weights again.
IGNORED = ("*/*", "consolidated*")


def fetch(
    repo: str,
    revision: str | None,
    cache: Path | None,
    *,
    config_only: bool,
    offline: bool,
) -> Path:
    """The local snapshot of `repo`; code files are never fetched. Raises FolderError."""
    wanted = SMALL if config_only else SMALL + WEIGHTS
    folder = _snapshot(repo, revision, cache, wanted, offline)
    if not config_only and not any(folder.glob("*.safetensors")):
        folder = _snapshot(repo, revision, cache, SMALL + PICKLED, offline)
        if not any(folder.glob("pytorch_model*.bin")):
            raise FolderError(
                repo, "holds neither safetensors nor .bin weights", "choose another repository"
            )
    return folder


def _snapshot(
    repo: str, revision: str | None, cache: Path | None, patterns: tuple[str, ...], offline: bool
) -> Path:
    from huggingface_hub import errors, snapshot_download

    try:
        return Path(
            snapshot_download(
                repo,
                revision=revision,
                cache_dir=cache,
                allow_patterns=list(patterns),
                ignore_patterns=list(IGNORED),
                local_files_only=offline,
            )
        )
    except errors.GatedRepoError:
        fix = "accept its terms on its page and log in (hf auth login)"
        raise FolderError(repo, "is gated on the hub", fix) from None
    except errors.RevisionNotFoundError:
        fix = "check the branch, tag or commit"
        raise FolderError(repo, f"has no revision {revision!r} on the hub", fix) from None
    except errors.RepositoryNotFoundError:
        fix = "check the spelling; a private one needs `hf auth login`"
        raise FolderError(repo, "is neither a folder here nor a hub id", fix) from None
    except (errors.LocalEntryNotFoundError, errors.IncompleteSnapshotError):
        what = "is not complete in the cache" if offline else "is not in the cache and the hub"
        tail = "" if offline else " cannot be reached"
        fix = "go online once (HF_HUB_OFFLINE=0) or give a local folder"
        raise FolderError(repo, f"{what}{tail}", fix) from None
    except (errors.HfHubHTTPError, OSError) as error:
        reason = str(error).splitlines()[0] if str(error) else type(error).__name__
        raise FolderError(repo, f"cannot be fetched ({reason})", "try again later") from None
