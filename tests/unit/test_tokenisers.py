import gzip
import hashlib
import itertools
import json
from pathlib import Path

import numpy as np
import pytest

from regdna.alphabet import N, decode, encode
from regdna.step import InputError
from regdna.tokenisers.bases import SingleBase
from regdna.tokenisers.byte_pair import BytePair
from regdna.tokenisers.kmers import KmerBlocks, OverlappingKmers

DEMO = Path(__file__).parents[2] / "resources/demo/chr22/sequence.fa.gz"
BLOCKS = [(6, 1), (6, 2), (3, 2)]


def published(k, version):
    """Lines of the published vocabulary of Nucleotide Transformer, written down apart from the library."""
    kmers = ["".join(word) for word in itertools.product("ATCG", repeat=k)]
    if version == 1:
        return ["<unk>", "<pad>", "<mask>", "<cls>", *kmers, *"ATCGN", "<eos>", "<bos>"]
    return ["<unk>", "<pad>", "<mask>", "<cls>", "<eos>", "<bos>", *kmers, *"ATCGN"]


def greedy(text, k, version):
    """Ids of blocks by a slow walk over the text: a k-mer if one fits, else one letter."""
    ids, at, vocabulary = [3], 0, published(k, version)
    while at < len(text):
        word = text[at : at + k]
        word = word if len(word) == k and "N" not in word else text[at]
        ids.append(vocabulary.index(word))
        at += len(word)
    return ids


def with_unknown(draw, length, share):
    codes = draw.integers(0, 4, length).astype(np.uint8)
    codes[draw.random(length) < share] = N
    return codes


def demo_windows(length, count):
    """Windows of real sequence: some anywhere, some at the edges of its 100 kb without bases, one all unknown."""
    text = "".join(gzip.decompress(DEMO.read_bytes()).decode().split("\n")[1:])
    gap, end = text.upper().index("N"), text.upper().rindex("N") + 1
    assert end - gap >= 100_000
    starts = [
        *np.random.default_rng(0).integers(0, len(text) - length, count),
        gap - length // 2,
        gap - 7,
        gap,
        end - 5,
        len(text) - length,
    ]
    return [text[at : at + length] for at in starts]


def written(tokeniser, folder):
    for name, text in tokeniser.files().items():
        (folder / name).write_text(text)
    return folder


@pytest.fixture(scope="module")
def learned():
    return BytePair.learn(np.random.default_rng(0).integers(0, 4, (20, 400)).astype(np.uint8), 200)


@pytest.fixture(params=["bases", "3-mers", "6-mers", "blocks v1", "blocks v2", "blocks of 3", "byte pairs"])
def tokeniser(request, learned):
    return {
        "bases": SingleBase(),
        "3-mers": OverlappingKmers(3),
        "6-mers": OverlappingKmers(6),
        "blocks v1": KmerBlocks(6, 1),
        "blocks v2": KmerBlocks(6, 2),
        "blocks of 3": KmerBlocks(3, 2),
        "byte pairs": learned,
    }[request.param]


@pytest.fixture(scope="module", params=BLOCKS, ids=str)
def blocks(request, tmp_path_factory):
    """A tokeniser and transformers' own over the published vocabulary, which has no end token."""
    transformers = pytest.importorskip("transformers")
    path = tmp_path_factory.mktemp("vocabulary") / "vocab.txt"
    path.write_text("\n".join(published(*request.param)))
    return KmerBlocks(*request.param), transformers.EsmTokenizer(str(path), eos_token=None)


@pytest.mark.parametrize("length", [1, 5, 6, 7, 59, 60, 200])
@pytest.mark.parametrize("share", [0, 0.03, 0.3, 1])
def test_blocks_equal_transformers_and_a_slow_walk(blocks, length, share):
    ours, reference = blocks
    draw = np.random.default_rng(length)
    for _ in range(5):
        codes = with_unknown(draw, length, share)
        ids, mask = ours.encode(codes[None])
        assert ids[0].tolist() == reference(decode(codes))["input_ids"] == greedy(decode(codes), ours.k, ours.version)
        assert mask.all() and ids.max() < ours.vocabulary


@pytest.mark.parametrize("length", [100, 1000])
def test_blocks_equal_transformers_on_real_sequence_of_either_case(blocks, length):
    ours, reference = blocks
    texts = demo_windows(length, 20)
    ids, mask = ours.encode(np.stack([encode(text) for text in texts]))
    expected = reference([text.upper() for text in texts])["input_ids"]
    assert [one[kept].tolist() for one, kept in zip(ids, mask, strict=True)] == expected
    assert np.array_equal(ours.encode(np.stack([encode(text.lower()) for text in texts]))[0], ids)


def test_blocks_equal_a_slow_walk_on_a_million_real_bases():
    text = "".join(gzip.decompress(DEMO.read_bytes()).decode().split("\n")[1:]).upper()
    ids, _ = KmerBlocks(6, 2).encode(encode(text)[None])
    place = {word: one for one, word in enumerate(published(6, 2))}
    first, second = text.index("N"), text.rindex("N") + 1
    expected = [3]
    for part in (text[:first], text[first:second], text[second:]):
        step = 1 if part[0] == "N" else 6
        whole = len(part) // step * step
        expected += [place[part[at : at + step]] for at in range(0, whole, step)] + [place[base] for base in part[whole:]]
    assert len(text) == 1_000_000 and ids[0].tolist() == expected


def test_blocks_of_a_mixed_batch_are_padded_and_masked():
    draw = np.random.default_rng(0)
    codes = np.stack([with_unknown(draw, 61, share) for share in (0, 0.1, 0, 1, 0.02)])
    ids, mask = KmerBlocks(6, 2).encode(codes)
    assert ids.dtype == np.int64 and mask.dtype == bool
    for row, one, kept in zip(codes, ids, mask, strict=True):
        assert one[kept].tolist() == greedy(decode(row), 6, 2)
        assert (one[~kept] == 1).all() and (np.diff(kept.astype(int)) <= 0).all()


@pytest.mark.parametrize(("k", "version"), BLOCKS)
def test_every_block_has_its_published_id(k, version):
    codes = np.array(list(itertools.product(range(4), repeat=k)), np.uint8)
    ours, vocabulary = KmerBlocks(k, version), published(k, version)
    assert [vocabulary[one] for one in ours.encode(codes)[0][:, 1]] == [decode(row) for row in codes]
    assert ours.files()["vocab.txt"].split("\n") == vocabulary


def test_vocabularies_are_of_the_published_sizes():
    assert [KmerBlocks(*one).vocabulary for one in BLOCKS] == [4105, 4107, 75]
    assert [OverlappingKmers(k).vocabulary for k in (3, 4, 5, 6)] == [69, 261, 1029, 4101]
    # The digest of the published file, as its hub gives it.
    assert hashlib.sha256(KmerBlocks(6, 2).files()["vocab.txt"].encode()).hexdigest().startswith("c00e0ad1")


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_overlapping_kmers_have_the_published_vocabulary(shared, k):
    lines = (shared / f"data/tokenizers/dnabert_{k}mer_vocab.txt").read_text().splitlines()
    assert OverlappingKmers(k).files()["vocab.txt"].splitlines() == lines


@pytest.mark.parametrize("k", [3, 4, 5, 6])
def test_overlapping_kmers_equal_transformers(k, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = OverlappingKmers(k)
    reference = transformers.BertTokenizer.from_pretrained(written(ours, tmp_path))

    def expected(text):
        kmers = [text[at : at + k] for at in range(len(text) - k + 1)]
        vocabulary = ["[PAD]", "[UNK]", "[CLS]", "[SEP]", "[MASK]", *map("".join, itertools.product("ATCG", repeat=k))]
        slow = [vocabulary.index(one) if one in vocabulary else 1 for one in kmers] if len(text) < 50 else None
        found = reference(" ".join(kmers), truncation=False)["input_ids"]
        assert slow is None or found == [2, *slow, 3]
        return found

    draw = np.random.default_rng(k)
    for length, share in itertools.product([0, 1, k - 1, k, k + 1, 49, 300], [0, 0.05, 0.3, 1]):
        codes = with_unknown(draw, length, share)
        ids, mask = ours.encode(codes[None])
        assert ids[0].tolist() == expected(decode(codes)) and mask.all() and mask.shape == ids.shape
    texts = demo_windows(1000, 5)
    ids, _ = ours.encode(np.stack([encode(text) for text in texts]))
    assert ids.dtype == np.int64 and ids.tolist() == [expected(text.upper()) for text in texts]


def test_overlapping_kmers_equal_base_four_numbers_on_a_million_real_bases():
    codes = encode("".join(gzip.decompress(DEMO.read_bytes()).decode().split("\n")[1:]))
    windows = np.lib.stride_tricks.sliding_window_view(codes, 6)
    numbers = 5 + np.array([0, 2, 3, 1, 0])[windows] @ 4 ** np.arange(5, -1, -1)
    expected = np.where((windows == N).any(1), 1, numbers)
    assert np.array_equal(OverlappingKmers(6).encode(codes[None])[0][0, 1:-1], expected)


def test_single_bases_are_the_codes():
    codes = with_unknown(np.random.default_rng(0), 30, 0.2)[None]
    ids, mask = SingleBase().encode(codes)
    assert ids.dtype == np.int64 and np.array_equal(ids, codes) and mask.all() and mask.shape == codes.shape
    assert SingleBase().offsets(ids)[0, 3].tolist() == [3, 4] and (SingleBase.vocabulary, SingleBase.pad) == (5, 4)


def test_decoding_gives_the_sequence_back(tokeniser):
    draw = np.random.default_rng(1)
    for length, share in [(0, 0), (40, 0), (301, 0), (301, 0.004)]:
        codes = np.stack([with_unknown(draw, length, share) for _ in range(4)])
        if isinstance(tokeniser, OverlappingKmers):
            codes[:, 200:201] = N  # it is alone, more than k bases from any other
            codes = np.where((codes == N) & (np.arange(length) != 200), 0, codes).astype(np.uint8)
        for row, ids in zip(codes, tokeniser.encode(codes)[0], strict=True):
            assert tokeniser.decode(ids).dtype == np.uint8 and np.array_equal(tokeniser.decode(ids), row)


def test_bases_that_no_known_kmer_covers_decode_to_n():
    ours = OverlappingKmers(4)
    for text, expected in [("ACGNACGTNACG", "NNNNACGTNNNN"), ("NACGTA", "NACGTA"), ("ACGTN", "ACGTN"), ("NNNNN", "NNNNN"), ("ACG", "")]:
        assert decode(ours.decode(ours.encode(encode(text)[None])[0][0])) == expected


def test_offsets_say_which_bases_a_token_covers(tokeniser):
    draw = np.random.default_rng(2)
    codes = np.stack([with_unknown(draw, 301, share) for share in (0, 0.02, 0.3, 1)])
    ids, mask = tokeniser.encode(codes)
    offsets = tokeniser.offsets(ids)
    assert offsets.dtype == np.int32 and offsets.shape == (*ids.shape, 2)
    for row, one, kept, spans in zip(codes, ids, mask, offsets, strict=True):
        covering = spans[:, 1] > spans[:, 0]
        assert not covering[~kept].any() and (spans[~covering, 0] == spans[~covering, 1]).all()
        start, end = spans[covering].T
        assert start[0] == 0 and end[-1] == 301
        if isinstance(tokeniser, OverlappingKmers):
            assert (np.diff(start) == 1).all() and (end - start == tokeniser.k).all() and covering.sum() == len(one) - 2
        else:
            assert np.array_equal(start[1:], end[:-1])
            for token, (a, b) in zip(one[covering], spans[covering], strict=True):
                assert np.array_equal(tokeniser.decode(np.array([token])), row[a:b])


def test_tokens_of_known_bases_are_counted_ahead(tokeniser):
    for length in (0, 1, 2, 5, 6, 7, 100, 1000):
        found = tokeniser.encode(np.zeros((1, length), np.uint8))[0].shape[1]
        assert tokeniser.tokens(length) == (None if isinstance(tokeniser, BytePair) else found)


def test_no_rows_rows_without_bases_and_views_are_taken(tokeniser):
    ids, mask = tokeniser.encode(np.zeros((0, 30), np.uint8))
    assert len(ids) == len(mask) == 0 and ids.shape == mask.shape
    assert tokeniser.encode(np.zeros((2, 0), np.uint8))[0].shape[0] == 2
    codes = np.random.default_rng(3).integers(0, 5, (3, 90)).astype(np.uint8)
    assert np.array_equal(tokeniser.encode(codes[:, ::-1])[0], tokeniser.encode(codes[:, ::-1].copy())[0])


@pytest.mark.parametrize(("k", "version"), BLOCKS)
def test_the_files_of_blocks_open_in_transformers(k, version, tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = KmerBlocks(k, version)
    codes = np.stack([with_unknown(np.random.default_rng(k), 200, share) for share in (0, 0.1)])
    ids, mask = ours.encode(codes)
    for kind in (transformers.EsmTokenizer, transformers.AutoTokenizer):
        reference = kind.from_pretrained(written(ours, tmp_path))
        found = reference([decode(row) for row in codes], padding=True)
        assert found["input_ids"] == ids.tolist() and found["attention_mask"] == mask.astype(int).tolist()
        assert reference.model_max_length == {1: 1000, 2: 2048}[version]


def test_the_files_of_single_bases_open_in_transformers(tmp_path):
    transformers = pytest.importorskip("transformers")
    path = written(SingleBase(), tmp_path) / "vocab.txt"
    none = dict.fromkeys(("cls_token", "mask_token", "eos_token"))
    reference = transformers.EsmTokenizer(str(path), unk_token="N", pad_token="N", **none)
    codes = with_unknown(np.random.default_rng(0), 50, 0.2)
    assert reference(decode(codes), add_special_tokens=False)["input_ids"] == SingleBase().encode(codes[None])[0][0].tolist()


def test_own_files_pass_the_check_and_another_tokenisers_do_not(tokeniser, learned, tmp_path):
    if not isinstance(tokeniser, BytePair):
        tokeniser.check(tmp_path)  # nothing is there
    tokeniser.check(written(tokeniser, tmp_path))
    for other in (SingleBase(), OverlappingKmers(4), KmerBlocks(3, 1), learned):
        if other.files() != tokeniser.files():
            for path in tmp_path.iterdir():
                path.unlink()
            with pytest.raises(InputError) as error:
                tokeniser.check(written(other, tmp_path))
            assert str(tmp_path) in str(error.value) and "\n" not in str(error.value)


def test_the_check_names_the_first_token_that_differs(tmp_path):
    lines = published(6, 2)
    (tmp_path / "vocab.txt").write_text("\n".join(lines) + "\n")
    KmerBlocks(6, 2).check(tmp_path)
    lines[9], lines[8] = lines[8], lines[9]
    (tmp_path / "vocab.txt").write_text("\n".join(lines))
    with pytest.raises(
        InputError, match=r"vocab.txt gives the token 'AAAAA[CG]' the id (8|9), .* v2's 6-mers the id (8|9) \(2 tokens differ"
    ):
        KmerBlocks(6, 2).check(tmp_path)
    (tmp_path / "vocab.txt").write_text("\n".join(published(6, 2)[:-1]))
    with pytest.raises(InputError, match="gives the token 'N' no id, .* the id 4106"):
        KmerBlocks(6, 2).check(tmp_path)
    (tmp_path / "vocab.txt").write_bytes(b"\xff\xfe")
    with pytest.raises(InputError, match="vocab.txt is no text"):
        KmerBlocks(6, 2).check(tmp_path)


def test_the_check_reads_a_saved_bert_tokenizer(tmp_path):
    transformers = pytest.importorskip("transformers")
    ours = OverlappingKmers(3)
    (tmp_path / "ours").mkdir()
    transformers.BertTokenizer.from_pretrained(written(ours, tmp_path / "ours")).save_pretrained(tmp_path)
    assert "AAA" in json.loads((tmp_path / "tokenizer.json").read_text())["model"]["vocab"]
    ours.check(tmp_path)
    with pytest.raises(InputError, match="tokenizer.json gives the token"):
        OverlappingKmers(4).check(tmp_path)


def test_other_lengths_of_kmers_are_refused():
    for make in (lambda: OverlappingKmers(2), lambda: OverlappingKmers(7), lambda: KmerBlocks(6, 3), lambda: KmerBlocks(7, 2)):
        with pytest.raises(ValueError, match=" is "):
            make()
