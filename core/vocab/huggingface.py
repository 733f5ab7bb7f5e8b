"""Hugging Face's tokenizer.json: byte-level BPE read in, whatever would change ids refused.

Our encoder looks a whole word up first and then merges whatever two neighbours make a token.
Hugging Face's merges listed pairs only. `_check_reachable` makes sure that both give equal ids.
Torch-free.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from typing import Any

from core.bpe import Pair
from core.vocab.byte_alphabet import from_chars
from core.vocab.imported import Imported, adopt
from core.vocab.patterns import (
    GPT2_PATTERN,
    canonical,
    covers_everything,
    engine_trap,
    pattern_of,
)
from core.vocab.recover import making_pairs, splits_of
from runs.errors import Corrupt, UsageError


def read_huggingface(content: bytes, name: str, *, pattern: str | None = None) -> Imported:
    """Return the tokenizer of a tokenizer.json; `pattern` replaces the one in the file.

    Raises:
        Corrupt: the file is damaged.
        UsageError: it holds something else than byte-level BPE; the field is named.
    """
    try:
        body = json.loads(content)
    except (ValueError, RecursionError) as error:
        raise Corrupt(f"{name} is not JSON ({error}); get the file again") from None
    if not isinstance(body, dict) or not isinstance(body.get("model"), dict):
        raise Corrupt(f"{name} has no 'model'; it is not a tokenizer.json")
    model: Mapping[str, Any] = body["model"]
    _check_model(model, name)
    _require(_is_neutral(body.get("normalizer"), "normalizers"), name, "normalizer")
    specials = _specials(body, name)
    ids = _token_ids(model, specials, name)
    pairs = _merges(model, ids, name)
    order = _rank_order(ids, pairs)
    _check_reachable(order, ids, pairs, model.get("ignore_merges") is True, name)
    notes = []
    if not _is_neutral(body.get("post_processor"), "processors", allowed="ByteLevel"):
        notes.append("its post_processor, which adds special tokens, is left out")
    found = _pattern(body, name) if pattern is None else pattern_of(pattern)
    # Ids that follow the merges stay as they are, with their gaps for adopt() to name.
    is_ordered = order == sorted(ids, key=ids.__getitem__)
    if not is_ordered:
        notes.append("ids are renumbered: the source's do not follow the order of its merges")
    ranks = ids if is_ordered else {token: rank for rank, token in enumerate(order)}
    return adopt(ranks, pattern=found, form="hf", name=name, specials=specials, notes=notes)


def _require(is_met: bool, name: str, field: str, reason: str = "") -> None:
    if not is_met:
        why = reason or "it would change ids"
        raise UsageError(f"{name}: its {field} cannot be taken over: {why}")


def _check_model(model: Mapping[str, Any], name: str) -> None:
    is_bpe = model.get("type", "BPE") == "BPE" and "merges" in model
    _require(is_bpe, name, "model.type", f"{model.get('type')!r} is not byte-level BPE")
    for field in ("continuing_subword_prefix", "end_of_word_suffix", "dropout", "byte_fallback"):
        _require(not model.get(field), name, f"model.{field}")


def _is_neutral(step: object, parts: str, allowed: str | None = None) -> bool:
    """Return whether a processing step is absent, empty, or made of `allowed` alone."""
    if step is None:
        return True
    if not isinstance(step, dict):
        return False
    if step.get("type") == "Sequence" and isinstance(step.get(parts), list):
        return all(_is_neutral(part, parts, allowed) for part in step[parts])
    return allowed is not None and step.get("type") == allowed


def _specials(body: Mapping[str, Any], name: str) -> dict[str, int]:
    """Return the special tokens; another token that is cut out of plain text is refused."""
    specials = {}
    added = body.get("added_tokens") or []
    if not isinstance(added, list):
        raise Corrupt(f"{name}: its added_tokens are not a list")
    for token in added:
        is_token = isinstance(token, dict) and isinstance(token.get("content"), str)
        if not is_token or type(token.get("id")) is not int:
            raise Corrupt(f"{name}: an entry of its added_tokens is not a token with an id")
        reason = f"{token['content']!r} is not special, yet never split"
        _require(token.get("special") is True, name, "added_tokens", reason)
        specials[token["content"]] = token["id"]
    return specials


def _token_ids(
    model: Mapping[str, Any], specials: Mapping[str, int], name: str
) -> dict[bytes, int]:
    vocab = model.get("vocab")
    if not isinstance(vocab, dict) or not all(type(index) is int for index in vocab.values()):
        raise Corrupt(f"{name}: its model.vocab does not map tokens to ids")
    ids: dict[bytes, int] = {}
    for text, index in vocab.items():
        if text in specials:
            continue
        token = from_chars(text)
        _require(token is not None, name, "model.vocab", f"{text!r} is not byte-level")
        ids[token or b""] = index
    if len(set(ids.values())) < len(ids):
        raise Corrupt(f"{name}: its model.vocab gives one id to two tokens")
    return ids


def _merges(model: Mapping[str, Any], ids: Mapping[bytes, int], name: str) -> list[Pair]:
    """Return the listed merges as pairs of the file's ids, written "a b" or ["a", "b"]."""
    raw = model["merges"]
    if not isinstance(raw, list):
        raise Corrupt(f"{name}: its model.merges are not a list")
    pairs = []
    for index, merge in enumerate(raw):
        halves = merge.split(" ") if isinstance(merge, str) else merge
        is_pair = isinstance(halves, list) and len(halves) == 2
        tokens = [from_chars(str(half)) for half in halves] if is_pair else []
        if not tokens or None in tokens:
            raise Corrupt(f"{name}: entry {index} of its model.merges is not a pair of tokens")
        left, right = (token or b"" for token in tokens)
        if left not in ids or right not in ids or left + right not in ids:
            raise Corrupt(f"{name}: entry {index} of its model.merges is not in its vocab")
        pairs.append((ids[left], ids[right]))
    return pairs


def _rank_order(ids: Mapping[bytes, int], pairs: Sequence[Pair]) -> list[bytes]:
    """Return the tokens in an order that has merged ones as the merges make them.

    The order of ids when that is such an order; else bytes, merged tokens, and the others.
    """
    by_id = {index: token for token, index in ids.items()}
    made = list(dict.fromkeys(by_id[left] + by_id[right] for left, right in pairs))
    ordered = sorted(ids, key=ids.__getitem__)
    is_made = set(made)
    if [token for token in ordered if token in is_made] == made:
        return ordered
    single = [token for token in ordered if len(token) == 1]
    others = [token for token in ordered if token not in is_made and len(token) > 1]
    return single + made + others


def _check_reachable(
    order: Sequence[bytes],
    ids: Mapping[bytes, int],
    pairs: Sequence[Pair],
    is_whole_word_first: bool,
    name: str,
) -> None:
    """Refuse a vocabulary whose list of merges gives other ids than its tokens do.

    core/vocab/recover.py says why the pair that makes a token is all that has to be listed. A
    token that no pair makes is met as a whole word, or late, by any cut into two tokens.
    """
    listed = {pair: index for index, pair in reversed(list(enumerate(pairs)))}
    ranks = {token: rank for rank, token in enumerate(order)}
    newest = -1
    for token, pair in zip(order, making_pairs(order), strict=True):
        if len(token) == 1:
            continue
        cuts = splits_of(token, ranks) if pair is None else iter([pair])
        places = [listed.get((ids[order[left]], ids[order[right]]), -1) for left, right in cuts]
        is_equal = is_whole_word_first if pair is None else places[0] > newest
        newest = newest if pair is None else places[0]
        reason = f"for {token!r} they give other ids than the vocabulary alone"
        _require(is_equal and -1 not in places, name, "model.merges", reason)


def _pattern(body: Mapping[str, Any], name: str) -> str:
    """Return the split pattern: Split(regex) before ByteLevel, or what ByteLevel does itself."""
    step = body.get("pre_tokenizer")
    parts = [step]
    if isinstance(step, dict) and step.get("type") == "Sequence":
        parts = list(step.get("pretokenizers") or [])
    steps = [part if isinstance(part, dict) else {} for part in parts]
    kinds = [part.get("type") for part in steps]
    reason = f"it is {' then '.join(map(str, kinds))}, not a Split and a ByteLevel"
    _require(kinds in (["ByteLevel"], ["Split", "ByteLevel"]), name, "pre_tokenizer", reason)
    level = steps[-1]
    _require(not level.get("add_prefix_space", True), name, "pre_tokenizer.add_prefix_space")
    if kinds == ["ByteLevel"]:
        field = "pre_tokenizer.use_regex"
        _require(level.get("use_regex", True) is True, name, field, "it does not split text")
        return GPT2_PATTERN
    _require(level.get("use_regex", True) is False, name, "pre_tokenizer.use_regex")
    return _split_pattern(steps[0], name)


def _split_pattern(step: Mapping[str, Any], name: str) -> str:
    written = step.get("pattern")
    regex = written.get("Regex") if isinstance(written, dict) else None
    field = "pre_tokenizer.pattern"
    _require(isinstance(regex, str), name, field, "it is not a regular expression")
    pattern = canonical(str(regex))
    trap = None if pattern != regex else engine_trap(pattern)
    _require(trap is None, name, field, f"our regex engine reads its {trap!r} otherwise")
    pattern = pattern_of(pattern)
    form = (step.get("behavior"), step.get("invert", False))
    if form == ("Isolated", False):
        # What the pattern does not match stays there, where ours drops it.
        _require(covers_everything(pattern), name, field, "it leaves characters out")
    else:
        _require(form == ("Removed", True), name, "pre_tokenizer.behavior")
    return pattern
