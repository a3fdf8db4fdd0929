"""Small tokenizers of the three real types, trained on any text, in the files that their publishers ship.

Each function writes the tokenizer's part of a model folder. `AutoTokenizer` also wants the model's config.json in
it, as on the hub; the class itself does not. The same texts always give the same files.
"""

import io
import json
from collections import Counter
from collections.abc import Iterable
from pathlib import Path
from typing import Any

import sentencepiece
from tokenizers import normalizers, pre_tokenizers
from transformers import BertTokenizerFast, XLMRobertaTokenizerFast

BERT_SPECIAL = ("[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]")


def wordpiece(texts: Iterable[str], folder: Path, size: int = 8000) -> Path:
    """BERT's cased WordPiece: vocab.txt, tokenizer.json, tokenizer_config.json.

    The vocabulary is every character, alone and as "##" piece, then the beginnings and ends of words that cover
    most text. (tokenizers' own trainer breaks ties differently from process to process.)
    """
    folder.mkdir(parents=True, exist_ok=True)
    vocabulary = folder / "vocab.txt"
    vocabulary.write_text("\n".join(_pieces(texts, size)) + "\n", encoding="utf-8")
    tokenizer = BertTokenizerFast(vocab_file=str(vocabulary), do_lower_case=False)
    tokenizer.backend_tokenizer.save(str(folder / "tokenizer.json"))
    return _configured(folder, do_lower_case=False, model_max_length=512)


def xlmr(texts: Iterable[str], folder: Path, size: int = 8000) -> Path:
    """XLM-R's SentencePiece: sentencepiece.bpe.model (a unigram model), tokenizer.json, tokenizer_config.json.

    Ids are fairseq's: <s> 0, <pad> 1, </s> 2, <unk> 3, then each piece at its SentencePiece id + 1, <mask> last.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = folder / "sentencepiece.bpe.model"
    model.write_bytes(unigram(texts, vocab_size=size))
    tokenizer = XLMRobertaTokenizerFast(vocab_file=str(model)).backend_tokenizer
    # The published file comes from an older conversion: white space belongs to no token, and a lone "▁" covers the
    # same character as the piece after it.
    tokenizer.pre_tokenizer = pre_tokenizers.Sequence([pre_tokenizers.WhitespaceSplit(), pre_tokenizers.Metaspace()])
    tokenizer.save(str(folder / "tokenizer.json"))
    return _configured(folder, model_max_length=512)


def deberta(texts: Iterable[str], folder: Path, size: int = 8000) -> Path:
    """mDeBERTa-v3's SentencePiece: spm.model and tokenizer_config.json alone; the fast tokenizer is converted.

    Its model knows bytes as a last resort, which the conversion does not: transformers warns of it.
    """
    folder.mkdir(parents=True, exist_ok=True)
    model = unigram(
        texts,
        vocab_size=size,
        byte_fallback=True,
        pad_id=0,
        bos_id=1,
        eos_id=2,
        unk_id=3,
        pad_piece="[PAD]",
        bos_piece="[CLS]",
        eos_piece="[SEP]",
        unk_piece="[UNK]",
    )
    (folder / "spm.model").write_bytes(model)
    return _configured(folder, do_lower_case=False, vocab_type="spm")


def _configured(folder: Path, **settings: Any) -> Path:
    (folder / "tokenizer_config.json").write_text(json.dumps(settings), encoding="utf-8")
    return folder


def _pieces(texts: Iterable[str], size: int) -> list[str]:
    """The vocabulary of `wordpiece`, in the order of its ids."""
    normalizer = normalizers.BertNormalizer(lowercase=False)
    splitter = pre_tokenizers.BertPreTokenizer()
    words: Counter[str] = Counter()
    for text in texts:
        words.update(word for word, _ in splitter.pre_tokenize_str(normalizer.normalize_str(text)))
    characters = sorted({character for word in words for character in word})
    covered: Counter[str] = Counter()
    for word, count in words.items():
        for cut in range(2, len(word) + 1):
            covered[word[:cut]] += cut * count
        for cut in range(1, len(word) - 1):
            covered["##" + word[cut:]] += (len(word) - cut) * count
    frequent = sorted(covered, key=lambda piece: (-covered[piece], piece))
    alphabet = [*BERT_SPECIAL, *characters, *("##" + character for character in characters)]
    return list(dict.fromkeys([*alphabet, *frequent]))[: max(size, len(alphabet))]


def unigram(texts: Iterable[str], **settings: Any) -> bytes:
    """A SentencePiece unigram model; fewer pieces than asked for where the text has no more."""
    model = io.BytesIO()
    sentencepiece.SentencePieceTrainer.train(
        sentence_iterator=iter(texts),
        model_writer=model,
        model_type="unigram",
        hard_vocab_limit=False,
        max_sentence_length=100_000,  # bytes; longer texts would be left out
        num_threads=1,
        minloglevel=2,
        **settings,
    )
    return model.getvalue()
