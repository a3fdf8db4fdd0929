"""The world's tokenizer: WordPiece over whole words, case suffixes and punctuation, without a trainer."""

from pathlib import Path

import numpy as np
from numpy.typing import NDArray
from tokenizers import Tokenizer, normalizers, pre_tokenizers, processors
from tokenizers.decoders import WordPiece as WordPieceDecoder
from tokenizers.models import WordPiece

from fun.world.lexicon import LANGUAGES, forms

SPECIAL = {f"{name}_token": f"[{name.upper()}]" for name in ("pad", "unk", "cls", "sep", "mask")}
PAD, _, CLS, SEP, MASK = range(len(SPECIAL))  # their ids
MAX_POSITIONS = 128


def vocabulary(seed: int) -> dict[str, int]:
    """Token -> id: the special tokens, then every form once, language by language."""
    words = [word for code in LANGUAGES for word in forms(seed)[code] if word]
    return {token: number for number, token in enumerate(dict.fromkeys([*SPECIAL.values(), *words]))}


def spelling(seed: int) -> NDArray[np.int64]:
    """Token id of every concept in every language [languages, concepts]; -1 where a language has no form."""
    ids = vocabulary(seed)
    return np.array([[ids[word] if word else -1 for word in forms(seed)[code]] for code in LANGUAGES])


def save_tokenizer(folder: Path, seed: int) -> None:
    """Write tokenizer.json and its configuration for `AutoTokenizer.from_pretrained(folder)`."""
    from transformers import PreTrainedTokenizerFast

    tokenizer = Tokenizer(WordPiece(vocabulary(seed), unk_token="[UNK]"))
    tokenizer.normalizer = normalizers.Lowercase()
    tokenizer.pre_tokenizer = pre_tokenizers.BertPreTokenizer()
    tokenizer.decoder = WordPieceDecoder()
    tokenizer.post_processor = processors.TemplateProcessing(
        single="[CLS] $A [SEP]",
        pair="[CLS] $A [SEP] $B:1 [SEP]:1",
        special_tokens=[("[CLS]", CLS), ("[SEP]", SEP)],
    )
    PreTrainedTokenizerFast(
        tokenizer_object=tokenizer,
        model_max_length=MAX_POSITIONS,
        model_input_names=["input_ids", "token_type_ids", "attention_mask"],
        **SPECIAL,
    ).save_pretrained(folder)
