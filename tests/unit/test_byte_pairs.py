import gzip
import json
from pathlib import Path

import numpy as np
import pytest
import toy_models

from regdna.alphabet import N, decode, encode
from regdna.step import InputError
from regdna.tokenisers.byte_pair import BytePair
from regdna.tokenisers.merges import Merges

DEMO = Path(__file__).parents[2] / "resources/demo/chr22/sequence.fa.gz"
NO_ENDS = np.array([], np.int32)


def library(definition):
    """The tokenizers library's ids of a text."""
    from tokenizers import Tokenizer

    tokenizer = Tokenizer.from_str(definition)
    tokenizer.no_truncation()
    return lambda text: tokenizer.encode(text).ids


def some_sequences(draw, count, longest, share):
    """Sequences of many lengths: random, repetitive and of two letters, some bases unknown."""
    for i in range(count):
        length = int(draw.integers(0, longest + 1))
        if i % 3 == 0:
            codes = draw.integers(0, 4, length)
        elif i % 3 == 1:
            codes = np.resize(draw.integers(0, 4, draw.integers(1, 5)), length)
        else:
            codes = draw.choice(draw.integers(0, 4, 2), length)
        codes = codes.astype(np.uint8)
        codes[draw.random(length) < share] = N
        yield codes


def demo_sequence():
    return encode("".join(gzip.decompress(DEMO.read_bytes()).decode().split("\n")[1:]))


def learned_definition(seed, vocabulary, letters="ACGT"):
    draw = np.random.default_rng(seed)
    codes = np.array(["ACGT".index(one) for one in letters], np.uint8)[draw.integers(0, len(letters), (20, 400))]
    return BytePair.learn(codes, vocabulary).definition


def slow_merges(tokens, merges):
    """Always the pair of the lowest rank, and of that the leftmost; merges are (left, right, made) by rank."""
    ranks = {(left, right): (rank, made) for rank, (left, right, made) in enumerate(merges)}
    tokens = list(tokens)
    while True:
        found = [(ranks[pair][0], at) for at, pair in enumerate(zip(tokens, tokens[1:], strict=False)) if pair in ranks]
        if not found:
            return tokens
        rank, at = min(found)
        tokens[at : at + 2] = [merges[rank][2]]


def shuffled_merges(draw, count, letters="ACGT"):
    """Merges whose tokens hold each other in no order of rank, several making one token: what no learning gives."""
    texts, pairs = list(letters), set()
    while len(pairs) < count:
        left, right = (texts[draw.integers(len(texts))] for _ in range(2))
        if len(left + right) < 7:
            pairs.add((left, right))
            texts += [left + right] * (left + right not in texts)
    pairs = sorted(pairs)
    draw.shuffle(pairs)
    ids = {text: one for one, text in enumerate(texts)}
    return texts, [(ids[left], ids[right], ids[left + right]) for left, right in pairs]


@pytest.mark.parametrize("letters", ["ACGT", "AC"])
@pytest.mark.parametrize("seed", range(12))
def test_any_merges_give_the_tokens_of_a_slow_search(seed, letters):
    draw = np.random.default_rng(seed)
    _, merges = shuffled_merges(draw, [3, 20, 130][seed % 3], letters)
    table = Merges.of(*np.array(merges).T)
    for codes in some_sequences(draw, 30, 60, 0.03):
        letters = np.array([0, 1, 2, 3, 9999], np.int32)
        flat, count = table.apply(codes[None], letters, NO_ENDS, NO_ENDS)
        assert flat[: count[0]].tolist() == slow_merges(letters[codes].tolist(), merges)


@pytest.mark.parametrize(
    "pairs", ["C+A A+C CAA+A CAA+CA CA+A", "C+C C+A A+CAA CA+A CAA+CA"], ids=["merges with the next", "merges with the last"]
)
def test_a_token_that_merges_at_once_by_a_lower_rank_is_made_leftmost_first(pairs):
    """Made from the right, the first of two CAA would be taken by another pair than made from the left."""
    pairs = [pair.split("+") for pair in pairs.split()]
    texts = ["A", "C", "G", "T", *dict.fromkeys(left + right for left, right in pairs)]
    merges = [(texts.index(left), texts.index(right), texts.index(left + right)) for left, right in pairs]
    flat, count = Merges.of(*np.array(merges).T).apply(encode("CAACAA")[None], np.arange(5, dtype=np.int32), NO_ENDS, NO_ENDS)
    assert flat[: count[0]].tolist() == slow_merges([1, 0, 0, 1, 0, 0], merges)


@pytest.mark.parametrize("seed", range(6))
def test_shuffled_merges_give_the_librarys_ids(seed):
    """Here a merge often lets a pair of a lower rank come about, so that the order of places within a rank counts too."""
    from tokenizers import Tokenizer, models

    draw = np.random.default_rng(seed)
    texts, merges = shuffled_merges(draw, [20, 130, 400][seed % 3])
    names = ["[UNK]", "[PAD]", *texts]
    pairs = [(texts[left], texts[right]) for left, right, _ in merges]
    definition = Tokenizer(models.BPE({name: one for one, name in enumerate(names)}, pairs, unk_token="[UNK]")).to_str()
    tokeniser, expected = BytePair(definition), library(definition)
    for codes in some_sequences(draw, 40, 300, 0.02):
        assert tokeniser.encode(codes[None])[0][0].tolist() == expected(decode(codes))


def every_edit(codes):
    """All places with all codes, the own one and N too."""
    return np.repeat(np.arange(len(codes)), 5), np.tile(np.arange(5, dtype=np.uint8), len(codes))


def edited(codes, where, bases):
    rows = np.tile(codes, (len(where), 1))
    for row, at, base in zip(rows, where, bases, strict=True):
        row[at] = base
    return rows


@pytest.mark.parametrize("letters", ["ACGT", "AC"])
@pytest.mark.parametrize("seed", range(12))
def test_any_merges_are_repaired_around_an_edit_as_if_all_were_merged(seed, letters):
    draw = np.random.default_rng(100 + seed)
    _, merges = shuffled_merges(draw, [3, 20, 130][seed % 3], letters)
    table = Merges.of(*np.array(merges).T)
    ids, ends = np.array([0, 1, 2, 3, 9999], np.int32), (np.array([77], np.int32), np.array([78, 79], np.int32))
    for number, codes in enumerate(some_sequences(draw, 30, 60, 0.03)):
        where, bases = every_edit(codes)
        rows = edited(codes, where, bases)
        flat, count = table.apply_edits(codes, where, bases, ids, *ends)
        expected, tokens = table.apply(rows, ids, *ends)
        assert np.array_equal(count, tokens) and np.array_equal(flat[: count.sum()], expected[: count.sum()])
        if number == 0:
            for row, one in zip(rows[::7], np.split(flat, count.cumsum())[:-1][::7], strict=True):
                assert one.tolist() == [77, *slow_merges(ids[row].tolist(), merges), 78, 79]


def test_an_edit_that_is_felt_far_to_its_right_or_left_is_followed_to_the_end():
    ids = np.arange(5, dtype=np.int32)
    pairs = Merges.of([0], [0], [5])  # A+A
    codes = np.zeros(301, np.uint8)
    flat, count = pairs.apply_edits(codes, np.array([0, 300, 150, 0]), np.array([1, 1, 1, 0], np.uint8), ids, NO_ENDS, NO_ENDS)
    first, last, middle, none = np.split(flat[: count.sum()], count.cumsum()[:-1])
    assert first.tolist() == [1] + [5] * 150 and last.tolist() == [5] * 150 + [1] and middle.tolist() == [5] * 75 + [1] + [5] * 75
    assert none.tolist() == [5] * 150 + [0]
    # C+A, C+CA, C+CCA and so on: an A takes the C left of it.
    depth = 40
    grown = Merges.of([1] * depth, [0, *range(5, 4 + depth)], range(5, 5 + depth))
    codes = np.ones(100, np.uint8)
    flat, count = grown.apply_edits(codes, np.array([99, 20, 98]), np.array([0, 0, 0], np.uint8), ids, NO_ENDS, NO_ENDS)
    last, first, both = np.split(flat[: count.sum()], count.cumsum()[:-1])
    assert last.tolist() == [1] * 59 + [44] and first.tolist() == [24] + [1] * 79 and both.tolist() == [1] * 58 + [44, 1]
    codes[99] = 0
    flat, count = grown.apply_edits(codes, np.array([99, 70]), np.array([1, 2], np.uint8), ids, NO_ENDS, NO_ENDS)
    gone, cut = np.split(flat[: count.sum()], count.cumsum()[:-1])
    assert gone.tolist() == [1] * 100 and cut.tolist() == [1] * 70 + [2, 32]


@pytest.mark.parametrize(
    ("vocabulary", "letters"), [(9, "ACGT"), (12, "ACGT"), (60, "AT"), (64, "ACGT"), (300, "ACGGGGT"), (1000, "ACGT"), (2000, "AAAC")]
)
def test_learned_byte_pairs_give_the_librarys_ids(vocabulary, letters):
    definition = learned_definition(vocabulary, vocabulary, letters)
    tokeniser, expected = BytePair(definition), library(definition)
    for codes in some_sequences(np.random.default_rng(vocabulary), 30, 3000, 0.01):
        assert tokeniser.encode(codes[None])[0][0].tolist() == expected(decode(codes))
    for text in ("", "A", "N", "NN", "ANA", "A" * 3000, "AT" * 1500, "AAT" * 999 + "N" * 3, "N" * 500):
        assert tokeniser.encode(encode(text)[None])[0][0].tolist() == expected(text), text[:9]


@pytest.fixture(scope="module")
def learned():
    draw = np.random.default_rng(1)
    codes = np.stack([encode((toy_models.letters(draw, 5) + "GATTACA") * 20) for _ in range(30)])
    return BytePair.learn(codes, 100)


def pieces(tokeniser, ids):
    names = {one: token for token, one in json.loads(tokeniser.definition)["model"]["vocab"].items()}
    return [names[int(one)] for one in ids]


def test_a_mixed_batch_is_padded_and_masked(learned):
    draw = np.random.default_rng(2)
    codes = draw.integers(0, 4, (4, 90)).astype(np.uint8)
    codes[draw.random((4, 90)) < np.array([0, 0.1, 1, 0.5])[:, None]] = N
    ids, mask = learned.encode(codes)
    assert ids.dtype == np.int64 and mask.dtype == bool and ids.shape == mask.shape == (4, 92)
    for row, one, kept in zip(codes, ids, mask, strict=True):
        found = pieces(learned, one[kept])
        assert found[0] == "[CLS]" and found[-1] == "[SEP]"
        assert "".join("N" if token == "[UNK]" else token for token in found[1:-1]) == decode(row)
        assert (one[~kept] == learned.pad).all() and (np.diff(kept.astype(int)) <= 0).all()
    assert learned.pad == 3 and pieces(learned, range(5)) == list(BytePair.specials)


def test_no_rows_and_rows_without_bases_are_tokens_too(learned):
    assert [one.shape for one in learned.encode(np.zeros((0, 30), np.uint8))] == [(0, 0), (0, 0)]
    assert learned.encode(np.zeros((2, 0), np.uint8))[0].tolist() == [[1, 2], [1, 2]]


def test_rows_may_be_views_that_run_backwards(learned):
    codes = np.random.default_rng(3).integers(0, 5, (6, 80)).astype(np.uint8)
    assert np.array_equal(learned.encode(codes[::-1, ::-1])[0], learned.encode(codes[::-1, ::-1].copy())[0])


def test_ids_do_not_depend_on_the_batch(learned):
    codes = np.random.default_rng(4).integers(0, 5, (6, 80)).astype(np.uint8)
    ids, mask = learned.encode(codes)
    for i in range(6):
        assert np.array_equal(learned.encode(codes[i : i + 1])[0][0], ids[i][mask[i]])


def test_offsets_tile_the_sequence_and_decoding_gives_it_back(learned):
    codes = np.random.default_rng(5).choice(5, (8, 300), p=[0.24, 0.24, 0.24, 0.24, 0.04]).astype(np.uint8)
    ids, mask = learned.encode(codes)
    offsets = learned.offsets(ids)
    assert offsets.dtype == np.int32 and offsets.shape == (*ids.shape, 2)
    for row, one, kept, spans in zip(codes, ids, mask, offsets, strict=True):
        assert np.array_equal(learned.decode(one), row)
        inner = spans[kept][1:-1]
        assert inner[0, 0] == 0 and inner[-1, 1] == 300 and np.array_equal(inner[1:, 0], inner[:-1, 1])
        assert [decode(row[a:b]) for a, b in inner] == [name.replace("[UNK]", "N") for name in pieces(learned, one[kept][1:-1])]
        outer = np.delete(spans, np.arange(1, kept.sum() - 1), 0)
        assert (outer[:, 0] == outer[:, 1]).all()


def test_learning_finds_what_repeats(learned):
    def count(text):
        return int(learned.encode(encode(text)[None])[1].sum())

    assert learned.vocabulary == 100 and learned.tokens(42) is None
    assert count("GATTACA" * 6) < count("GTATCAA" * 6)


def test_learning_twice_gives_the_same_definition():
    codes = np.random.default_rng(3).integers(0, 5, (5, 200)).astype(np.uint8)
    assert BytePair.learn(codes, 60).definition == BytePair.learn(codes, 60).definition


def changed(definition, **parts):
    """A definition with some parts replaced; names with a dot lie in its model."""
    content = json.loads(definition)
    for name, value in parts.items():
        where, key = (content["model"], name[6:]) if name.startswith("model_") else (content, name)
        where[key] = value(where.get(key)) if callable(value) else value
    return json.dumps(content)


def more(**tokens):
    return lambda vocabulary: {**vocabulary, **tokens}


def without(*tokens):
    return lambda vocabulary: {token: one for token, one in vocabulary.items() if token not in tokens}


def added(content, one):
    token = {"id": one, "content": content, "single_word": False, "lstrip": False, "rstrip": False, "normalized": False, "special": True}
    return lambda tokens: [*tokens, token]


def drop_added(name):
    return lambda tokens: [one for one in tokens if one["content"] != name]


@pytest.mark.parametrize(
    ("parts", "said"),
    [
        ({"normalizer": {"type": "Lowercase"}}, "normalizer to 'Lowercase'"),
        ({"pre_tokenizer": {"type": "Digits", "individual_digits": True}}, "pre_tokenizer to 'Digits'"),
        ({"pre_tokenizer": {"type": "ByteLevel", "add_prefix_space": True, "trim_offsets": True, "use_regex": True}}, "'ByteLevel'"),
        ({"model_dropout": 0.1}, "dropout to 0.1"),
        ({"model_fuse_unk": True}, "fuse_unk"),
        ({"model_byte_fallback": True}, "byte_fallback"),
        ({"model_ignore_merges": True}, "ignore_merges"),
        ({"model_end_of_word_suffix": "_"}, "end_of_word_suffix"),
        ({"model_continuing_subword_prefix": "#", "model_merges": []}, "continuing_subword_prefix"),
        ({"model_vocab": more(ACGU=200)}, "'ACGU' (id 200), which is not of A, C, G, T and N"),
        ({"model_vocab": more(ACGN=2**20)}, "the id 1048576"),
        ({"model_vocab": without("T"), "model_merges": []}, "no token for the base T"),
        ({"model_unk_token": "[MASK]"}, "unk_token as '[MASK]'"),
        ({"added_tokens": added("ACGTTGCA", 100)}, "adds the token 'ACGTTGCA'"),
        ({"added_tokens": drop_added("[MASK]")}, "'[MASK]' (id 4), which is not of A"),
        ({"added_tokens": drop_added("[PAD]"), "model_vocab": without("[PAD]")}, "no token [PAD]"),
        ({"model": {"type": "WordPiece", "unk_token": "[UNK]", "vocab": {"[UNK]": 0}, "continuing_subword_prefix": "##",
                    "max_input_chars_per_word": 9}}, "type WordPiece, not BPE"),
    ],
)  # fmt: skip
def test_what_cannot_be_followed_is_refused_in_one_line(learned, parts, said):
    with pytest.raises(InputError) as error:
        BytePair(changed(learned.definition, **parts), "folder/tokenizer.json")
    assert said in str(error.value) and str(error.value).startswith("folder/tokenizer.json") and "\n" not in str(error.value)


def test_what_is_no_definition_is_refused_in_one_line():
    for text in ("", "{}", "no json", '{"model":\n{"type": "BPE"}}'):
        with pytest.raises(InputError, match="the library can open") as error:
            BytePair(text)
        assert "\n" not in str(error.value)


def test_a_definition_of_which_the_library_makes_other_ids_is_refused(learned, monkeypatch):
    monkeypatch.setattr(Merges, "apply", lambda *_: (np.full(9, 7, np.int32), np.array([9])))
    with pytest.raises(InputError, match="other ids"):
        BytePair(learned.definition)


@pytest.mark.parametrize(
    "cutting",
    [None, {"type": "WhitespaceSplit"}, {"type": "BertPreTokenizer"},
     {"type": "ByteLevel", "add_prefix_space": False, "trim_offsets": True, "use_regex": True}],
)  # fmt: skip
def test_cuttings_that_leave_dna_whole_change_nothing(learned, cutting):
    codes = np.random.default_rng(6).integers(0, 5, (3, 200)).astype(np.uint8)
    tokeniser = BytePair(changed(learned.definition, pre_tokenizer=cutting))
    assert np.array_equal(tokeniser.encode(codes)[0], learned.encode(codes)[0])


def test_other_ends_none_and_a_token_for_n_are_read_off_the_definition(learned):
    codes = encode("GATTACANNGA")[None]
    inner = learned.encode(codes)[0][0, 1:-1].tolist()
    bare = BytePair(changed(learned.definition, post_processor=None))
    assert bare.encode(codes)[0].tolist() == [inner]
    ends = {"type": "BertProcessing", "sep": ["[MASK]", 4], "cls": ["[SEP]", 2]}
    assert BytePair(changed(learned.definition, post_processor=ends)).encode(codes)[0].tolist() == [[2, *inner, 4]]
    named = BytePair(changed(learned.definition, model_vocab=more(N=100, NN=101), model_merges=lambda merges: [["N", "N"], *merges]))
    assert named.vocabulary == 102
    ids, _ = named.encode(codes)
    assert 101 in ids and 0 not in ids and ids[0].tolist() == library(named.definition)("GATTACANNGA")
    assert np.array_equal(named.decode(ids[0]), codes[0]) and named.offsets(ids)[0, :, 1].max() == 11


def test_gaps_between_ids_count_for_the_vocabulary(learned):
    assert BytePair(changed(learned.definition, model_vocab=more(ACACACAC=500))).vocabulary == 501


def test_added_tokens_count_for_the_vocabulary_and_are_checked(learned, tmp_path):
    tokeniser = BytePair(changed(learned.definition, added_tokens=added("[EXTRA]", 100)))
    assert tokeniser.vocabulary == 101
    (tmp_path / "tokenizer.json").write_text(tokeniser.definition)
    tokeniser.check(tmp_path)
    with pytest.raises(InputError, match=r"gives the token '\[EXTRA\]' the id 100, this model's byte pairs no id"):
        learned.check(tmp_path)


def test_nothing_is_truncated(learned):
    short = changed(learned.definition, truncation={"direction": "Right", "max_length": 9, "strategy": "LongestFirst", "stride": 0})
    codes = np.random.default_rng(7).integers(0, 4, (1, 3000)).astype(np.uint8)
    assert np.array_equal(BytePair(short).encode(codes)[0], learned.encode(codes)[0])


def test_the_files_open_in_transformers(learned, tmp_path):
    transformers = pytest.importorskip("transformers")
    for name, text in learned.files().items():
        (tmp_path / name).write_text(text)
    learned.check(tmp_path)
    codes = np.random.default_rng(8).integers(0, 5, (4, 250)).astype(np.uint8)
    ids, mask = learned.encode(codes)
    for kind in (transformers.PreTrainedTokenizerFast, transformers.AutoTokenizer):
        found = kind.from_pretrained(tmp_path)([decode(row) for row in codes], padding=True)
        assert found["input_ids"] == ids.tolist() and found["attention_mask"] == mask.astype(int).tolist()


def test_another_models_files_are_refused(learned, tmp_path):
    with pytest.raises(InputError, match="tokenizer.json is not there"):
        learned.check(tmp_path)
    path = tmp_path / "tokenizer.json"
    path.write_text(learned_definition(1, 64))
    with pytest.raises(InputError, match="it is of another model"):
        learned.check(tmp_path)
    path.write_text(changed(learned.definition, model_merges=lambda merges: merges[::-1]))
    with pytest.raises(InputError, match="other merges"):
        learned.check(tmp_path)
    path.write_text("{}")
    with pytest.raises(InputError, match="holds no vocabulary"):
        learned.check(tmp_path)


@pytest.mark.parametrize("length", [100, 1000, 4001])
def test_published_byte_pairs_equal_the_library_on_real_sequence(shared, length):
    tokeniser = BytePair((shared / "data/tokenizers/dnabert2_tokenizer.json").read_text())
    compare_on_real_sequence(tokeniser, length, (tokeniser.vocabulary, tokeniser.pad) == (4096, 3))


def test_learned_byte_pairs_equal_the_library_on_real_sequence():
    compare_on_real_sequence(BytePair.learn(demo_sequence()[None, :400_000], 4096), 1000, True)


def compare_on_real_sequence(tokeniser, length, as_published):
    from tokenizers import Tokenizer

    assert as_published
    codes = demo_sequence()
    whole = codes[: len(codes) // length * length].reshape(-1, length)
    ids, mask = tokeniser.encode(whole)
    expected = Tokenizer.from_str(tokeniser.definition).encode_batch_fast([decode(row) for row in whole])
    assert ids[mask].tolist() == [one for row in expected for one in row.ids]
    assert mask.sum(1).tolist() == [len(row.ids) for row in expected]
    assert all(np.array_equal(tokeniser.decode(one), row) for one, row in zip(ids[::50], whole[::50], strict=True))
