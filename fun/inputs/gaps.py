"""Languages that a run cannot be tested in yet, for want of a language adapter, and what fills each gap."""

from collections.abc import Iterable

from fun.config import RunConfig, producer, producer_command, results_root
from fun.errors import AdapterMissing, ConfigError
from fun.models.language_adapters import trained_adapter


def gaps(config: RunConfig, languages: Iterable[str]) -> dict[str, str]:
    """Language -> what is missing and what to type; empty where the run uses no language adapters.

    Nothing is downloaded: an adapter of the hub that cannot be had is an error of its own, not a gap.
    """
    if not config.uses_language_adapters:
        return {}
    return {language: reason for language in languages if (reason := _gap(config, language))}


def check_source_language(config: RunConfig) -> None:
    """Raise ConfigError unless the task adapter can be trained on the source language's adapter."""
    if reason := gaps(config, [config.SOURCE_LANGUAGE]).get(config.SOURCE_LANGUAGE):
        raise ConfigError(f"{reason} (the task adapter is trained on it)")


def _gap(config: RunConfig, language: str) -> str | None:
    origin = config.language_adapters.get(language)
    if origin is None:
        new = "" if language in config.language_adapters else "+"
        return (
            f"{language} has no language adapter in this run: for a run that has one, type "
            f"{new}language_adapters.{language}=train, or =hub:<namespace>/<name>"
        )
    kind, _, run_id = origin.partition(":")
    if kind != "run":
        return None
    try:
        trained_adapter(results_root(), run_id)
    except AdapterMissing as missing:
        if producer(config.model, language).run_id == run_id:
            command = producer_command(config.model, language)
            return f"the language adapter of {language} is not trained: type {command} first, then this command again"
        return f"the language adapter of {language} is not there: {missing}; finish it, then type this command again"
    return None
