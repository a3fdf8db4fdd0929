"""A small encoder with a tokenizer of its own, made from text: every stage runs on real text without a download.

    python -m tests.small_encoder text --data DIR --out TEXT
    python -m tests.small_encoder encoder --text TEXT --out ENCODER

It is an XLM-R in everything but size, so `model=xlmr model.source=folder:ENCODER` runs it. docs/real-text.md goes on
from there. It is there to try the pipeline: what it learns in minutes is too little for transfer.
"""

import argparse
import sys
from collections.abc import Sequence
from pathlib import Path

import torch
from tokenizers import pre_tokenizers
from transformers import (
    DataCollatorForLanguageModeling,
    PreTrainedTokenizerBase,
    Trainer,
    TrainingArguments,
    XLMRobertaConfig,
    XLMRobertaForMaskedLM,
    XLMRobertaTokenizerFast,
    set_seed,
)

from fun.config import RunConfig
from fun.data import FolderSource
from fun.data.corpora import FolderText, Sample
from fun.errors import ConfigError, FunError
from fun.inputs import compose
from tests.tiny_tokenizers import unigram

TASKS = ("squad", "mnli", "copa")
"""The tasks whose rows are the text."""

PIECES = 8000
BATCH, LENGTH, MASKING = 32, 64, 0.15
LEARNING_RATE, WARMUP = 1e-3, 0.1
"""Not tuned: 200 updates bring the loss of a new encoder from 9.0 to 7.5 nats. Warm-up is a share of the updates."""


def save_text(data: Path, out: Path) -> dict[str, int]:
    """Write the text of the publishers' files below `data` as `out`/<language>.txt: a document per line, each once.

    It holds the test sets' sentences too, without their labels. Returns the number of documents by language.
    Raises ConfigError where a task has no file below `data`, and where `out` holds files.
    """
    _check_new(out)
    source = FolderSource(data, nonstandard=True)
    documents: dict[str, dict[str, None]] = {}
    for name in TASKS:
        task = compose([f"task={name}", "model=xlmr"]).task
        splits = [(task.training_set, RunConfig.SOURCE_LANGUAGE, split) for split in ("train", "validation")]
        splits += [(dataset, code, "test") for dataset, codes in source.test_sets(task).items() for code in codes]
        for dataset, language, split in splits:
            texts = documents.setdefault(language, {})
            for row in source.rows(dataset, language, split):
                texts |= dict.fromkeys(" ".join(row[column].split()) for column in task.texts)
    out.mkdir(parents=True, exist_ok=True)
    for language, texts in documents.items():
        (out / f"{language}.txt").write_text("".join(f"{text}\n" for text in texts), encoding="utf-8", newline="\n")
    return {language: len(texts) for language, texts in documents.items()}


def save_encoder(text: Path, out: Path, *, updates: int, seed: int) -> None:
    """Write a tokenizer and an encoder, with its MLM head, as a transformers folder to `out`.

    Both are made from all documents below `text` (see `FolderText`): the encoder by `updates` updates of masked
    language modelling from weights that depend on `seed`. On one machine the same text gives the same files.
    Raises ConfigError where there is no text, or too little for a batch, and where `out` holds files.
    """
    _check_new(out)
    if updates < 1:
        raise ConfigError(f"--updates is {updates}; expected 1 or more")
    texts = _documents(text)
    out.mkdir(parents=True, exist_ok=True)
    save_tokenizer(texts, out)
    tokenizer = XLMRobertaTokenizerFast.from_pretrained(out)
    model = new_encoder(len(tokenizer), seed)
    _trainer(model, tokenizer, texts, out, updates, seed).train()
    model.save_pretrained(out)


def save_tokenizer(texts: Sequence[str], folder: Path, pieces: int = PIECES) -> None:
    """Write a tokenizer of XLM-R's type, a SentencePiece unigram model, in the files that XLM-R ships.

    Ids are fairseq's: <s> 0, <pad> 1, </s> 2, <unk> 3, then each piece at its SentencePiece id + 1, <mask> last.
    Text that has no `pieces` pieces gets fewer.
    """
    model = folder / "sentencepiece.bpe.model"
    model.write_bytes(unigram(texts, vocab_size=pieces))
    tokenizer = XLMRobertaTokenizerFast(vocab_file=str(model), model_max_length=512)
    # As in the published file, and unlike what transformers converts: white space belongs to no token.
    split = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.backend_tokenizer.pre_tokenizer = split
    tokenizer.save_pretrained(folder)


def new_encoder(vocabulary: int, seed: int) -> XLMRobertaForMaskedLM:
    """The encoder before training: 12 layers of 64 units for 512 tokens, 0.96 M parameters with 8,000 pieces."""
    set_seed(seed)
    config = XLMRobertaConfig(
        vocab_size=vocabulary,
        hidden_size=64,
        num_hidden_layers=12,
        num_attention_heads=4,
        intermediate_size=128,
        hidden_dropout_prob=0.0,  # a model this small does not overfit in a few hundred updates
        attention_probs_dropout_prob=0.0,
        max_position_embeddings=514,  # of which XLM-R never uses the first two
        type_vocab_size=1,
    )
    return XLMRobertaForMaskedLM(config)


def _trainer(
    model: XLMRobertaForMaskedLM,
    tokenizer: PreTrainedTokenizerBase,
    texts: Sequence[str],
    out: Path,
    updates: int,
    seed: int,
) -> Trainer:
    """Masked language modelling on the CPU, so that it repeats; prints its loss, and writes nothing to `out`."""
    task = compose(["task=mlm", "lang=en", "model=xlmr", f"task.max_length={LENGTH}", f"task.masking={MASKING}"]).task
    passages = task.encode([{"text": text} for text in texts], tokenizer, "en")
    if len(passages) < BATCH:
        raise ConfigError(
            f"found text for {len(passages)} passages of {LENGTH} tokens, expected {BATCH}: give more text"
        )
    arguments = TrainingArguments(
        output_dir=str(out),
        save_strategy="no",
        report_to=[],
        use_cpu=True,
        disable_tqdm=True,
        logging_steps=50,
        seed=seed,
        max_steps=updates,
        per_device_train_batch_size=BATCH,
        learning_rate=LEARNING_RATE,
        warmup_ratio=WARMUP,
    )
    data = [{"input_ids": torch.from_numpy(passage.inputs["input_ids"]).long()} for passage in passages]
    collator = DataCollatorForLanguageModeling(tokenizer, mlm_probability=MASKING)
    return Trainer(model, arguments, train_dataset=data, data_collator=collator)


def _documents(text: Path) -> list[str]:
    """All documents below a folder of text, language by language."""
    languages = {path.stem for path in text.glob("*.txt")} | {path.parent.name for path in text.glob("*/*.txt")}
    corpus = FolderText(text, Sample(held_out=0, training=0))
    documents = [document for language in sorted(languages) for document in corpus.documents(language)]
    if not documents:
        raise ConfigError(f"found no text below {text}; expected <language>.txt, a document per line")
    return documents


def _check_new(folder: Path) -> None:
    """Raise ConfigError for a folder with files: everything in an encoder's folder is part of its content key."""
    if folder.exists() and (not folder.is_dir() or any(folder.iterdir())):
        raise ConfigError(f"{folder} is there already, and not an empty folder: type another --out, or remove it")


def main(arguments: Sequence[str] | None = None) -> int:
    """Run one command; a user's error ends in one line and exit status 1."""
    parser = argparse.ArgumentParser(
        prog="python -m tests.small_encoder", description="A small encoder made from text."
    )
    commands = parser.add_subparsers(required=True, metavar="command", dest="command")
    text = commands.add_parser("text", help="write the text of the data sets' files, <language>.txt")
    text.add_argument("--data", type=Path, required=True, help="the folder of the publishers' files, as data.root")
    encoder = commands.add_parser("encoder", help="make a tokenizer and an encoder from a folder of text")
    encoder.add_argument("--text", type=Path, required=True, help="<language>.txt, a document per line")
    encoder.add_argument("--updates", type=int, default=200, help="of masked language modelling (default: 200)")
    encoder.add_argument("--seed", type=int, default=0)
    for command in (text, encoder):
        command.add_argument("--out", type=Path, required=True)
    options = parser.parse_args(arguments)
    try:
        if options.command == "text":
            for language, documents in sorted(save_text(options.data, options.out).items()):
                print(f"{options.out / language}.txt  {documents:,} documents")
        else:
            save_encoder(options.text, options.out, updates=options.updates, seed=options.seed)
            print(f"type model=xlmr model.source=folder:{options.out}")
    except FunError as error:
        print(error, file=sys.stderr)
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main())
