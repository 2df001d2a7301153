import itertools

import numpy as np
import pytest
import toy_models

from regdna.alphabet import N, decode, encode
from regdna.tokenisers import BytePair, SixMer

SPECIALS = ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>"]
VOCABULARY = SPECIALS + ["".join(word) for word in itertools.product("ATCG", repeat=6)] + list("ATCGN")


@pytest.fixture(scope="module")
def reference(tmp_path_factory):
    """transformers' tokenizer over the published vocabulary, which has no end token."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(VOCABULARY))
    return transformers.EsmTokenizer(str(path), eos_token=None)


def greedy(text):
    """Ids by a slow walk over the text: a 6-mer of the vocabulary if one fits, else one letter."""
    ids, at = [3], 0
    while at < len(text):
        piece = text[at : at + 6] if text[at : at + 6] in VOCABULARY[6:4102] else text[at]
        ids.append(VOCABULARY.index(piece))
        at += len(piece)
    return ids


def with_unknown(draw, length, share):
    codes = draw.integers(0, 4, length).astype(np.uint8)
    codes[draw.random(length) < share] = N
    return codes


@pytest.mark.parametrize("length", [1, 5, 6, 7, 59, 60, 200])
@pytest.mark.parametrize("share", [0, 0.03, 0.3, 1])
def test_six_mers_equal_transformers(reference, length, share):
    draw = np.random.default_rng(length)
    for _ in range(10):
        codes = with_unknown(draw, length, share)
        ids, mask = SixMer().encode(codes[None])
        assert ids[0].tolist() == reference(decode(codes))["input_ids"] == greedy(decode(codes))
        assert mask.all()


def test_six_mers_ignore_case_through_the_alphabet(reference):
    text = "acgtacGTNnacgtacgtac"
    assert SixMer().encode(encode(text)[None])[0][0].tolist() == reference(text.upper())["input_ids"]


def test_six_mers_of_a_mixed_batch_are_padded_and_masked():
    draw = np.random.default_rng(0)
    codes = np.stack([with_unknown(draw, 61, share) for share in (0, 0.1, 0, 1, 0.02)])
    ids, mask = SixMer().encode(codes)
    assert ids.dtype == np.int64 and mask.dtype == bool
    for row, one, kept in zip(codes, ids, mask, strict=True):
        assert one[kept].tolist() == greedy(decode(row))
        assert (one[~kept] == 1).all() and (np.diff(kept.astype(int)) <= 0).all()


def test_every_six_mer_has_its_published_id():
    codes = np.array(list(itertools.product(range(4), repeat=6)), np.uint8)
    ids, _ = SixMer().encode(codes)
    assert [VOCABULARY[one] for one in ids[:, 1]] == [decode(row) for row in codes]
    assert SixMer.vocabulary == len(VOCABULARY) == 4107


@pytest.fixture(scope="module")
def learned():
    draw = np.random.default_rng(1)
    codes = np.stack([encode((toy_models.letters(draw, 5) + "GATTACA") * 20) for _ in range(30)])
    return BytePair.learn(codes, 100)


def pieces(tokeniser, ids):
    return [tokeniser._tokenizer.id_to_token(int(one)) for one in ids]


def test_learned_byte_pairs_have_the_published_layout(learned):
    draw = np.random.default_rng(2)
    codes = np.stack([with_unknown(draw, 90, share) for share in (0, 0.1, 1, 0.5)])
    ids, mask = learned.encode(codes)
    for row, one, kept in zip(codes, ids, mask, strict=True):
        found = pieces(learned, one[kept])
        assert found[0] == "[CLS]" and found[-1] == "[SEP]"
        assert "".join("N" if token == "[UNK]" else token for token in found[1:-1]) == decode(row)
        assert (one[~kept] == learned.pad).all() and learned.pad == 3
    assert ids[0, 0] == 1 and pieces(learned, range(5)) == list(BytePair.specials)


def test_learned_byte_pairs_find_what_repeats(learned):
    assert learned.vocabulary == 100
    assert mask_length(learned, "GATTACA" * 6) < mask_length(learned, "GTATCAA" * 6)


def mask_length(tokeniser, text):
    return int(tokeniser.encode(encode(text)[None])[1].sum())


def test_learning_twice_gives_the_same_definition_and_it_can_be_reopened(learned):
    codes = np.random.default_rng(3).integers(0, 5, (5, 200)).astype(np.uint8)
    assert BytePair.learn(codes, 60).definition == BytePair.learn(codes, 60).definition
    for one, two in zip(learned.encode(codes), BytePair(learned.definition).encode(codes), strict=True):
        assert np.array_equal(one, two)


def test_ids_do_not_depend_on_the_batch(learned):
    codes = np.random.default_rng(4).integers(0, 5, (6, 80)).astype(np.uint8)
    ids, mask = learned.encode(codes)
    for i in range(6):
        assert np.array_equal(learned.encode(codes[i : i + 1])[0][0], ids[i][mask[i]])


def test_published_byte_pairs_equal_transformers(shared):
    transformers = pytest.importorskip("transformers")
    path = shared / "golden/dnabert2/tokenizer.json"
    tokeniser, slow = BytePair(path.read_text()), transformers.PreTrainedTokenizerFast(tokenizer_file=str(path), pad_token="[PAD]")
    assert tokeniser.vocabulary == 4096 and tokeniser.pad == 3
    codes = np.random.default_rng(5).integers(0, 4, (20, 700)).astype(np.uint8)
    texts = [decode(row) for row in codes]
    expected = slow(texts, padding=True)
    ids, mask = tokeniser.encode(codes)
    assert ids.tolist() == expected["input_ids"]
    assert mask.astype(int).tolist() == expected["attention_mask"]
