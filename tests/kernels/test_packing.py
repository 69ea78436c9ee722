"""Contract of packing, unpacking and population counts."""

import numpy as np
import pytest

import xsns_kernels as kernels

SIZES = (0, 1, 63, 64, 65, 127, 129, 2**16 + 5, 8 * 2**16 + 9, 2**20 + 1)


def _bits(size):
    return np.random.default_rng(size).random(size) < 0.3


@pytest.mark.parametrize("impl", kernels.implementations("pack_bits"))
@pytest.mark.parametrize("size", SIZES)
def test_pack_places_bit_i_in_word_i_div_64(impl, size):
    bits = _bits(size)
    words = kernels.pack_bits(bits, impl=impl)
    assert words.dtype == np.uint64
    assert words.shape == (-(-size // 64),)
    number = int.from_bytes(words.astype("<u8").tobytes(), "little")
    truth = sum(1 << index for index in np.flatnonzero(bits).tolist()) if size <= 129 else None
    assert truth is None or number == truth
    assert number.bit_count() == int(bits.sum())
    assert number >> size == 0
    assert all(number >> index & 1 == bits[index] for index in range(0, size, 997))


@pytest.mark.parametrize("impl", kernels.implementations("unpack_bits"))
@pytest.mark.parametrize("size", SIZES)
def test_unpack_returns_what_was_packed(impl, size):
    bits = _bits(size)
    unpacked = kernels.unpack_bits(kernels.pack_bits(bits), size, impl=impl)
    assert unpacked.dtype == np.bool_
    assert np.array_equal(unpacked, bits)


@pytest.mark.parametrize("impl", kernels.implementations("pack_bits"))
def test_any_byte_except_zero_is_true(impl):
    octets = np.array([0, 1, 2, 128, 255] * 30, np.uint8)
    assert np.array_equal(
        kernels.pack_bits(octets.view(np.bool_), impl=impl), kernels.pack_bits(octets != 0, impl="numpy")
    )


@pytest.mark.parametrize("impl", kernels.implementations("popcount"))
@pytest.mark.parametrize("words", [0, 1, 63, 64, 65, 8193, 2**16 + 1])
def test_popcount_is_exact(impl, words, random_words):
    packed = random_words(words)
    count = kernels.popcount(packed, impl=impl)
    assert type(count) is int
    assert count == int.from_bytes(packed.tobytes(), "little").bit_count()


@pytest.mark.parametrize("impl", kernels.implementations("popcount"))
def test_popcount_takes_any_axes_and_read_only_words(impl, random_words):
    packed = random_words(3, 4, 5)
    packed.flags.writeable = False
    assert kernels.popcount(packed, impl=impl) == int(np.bitwise_count(packed).sum())


def test_popcount_is_exact_past_2_to_24():
    assert kernels.popcount(np.full(2**18 + 1, 2**64 - 1, np.uint64)) == 64 * (2**18 + 1)


@pytest.mark.parametrize(
    ("call", "error", "message"),
    [
        (lambda k: k.pack_bits([True]), TypeError, "bits must be a NumPy array of bool, got list"),
        (lambda k: k.pack_bits(np.zeros(3, np.uint8)), TypeError, "bits must have dtype bool, got uint8"),
        (
            lambda k: k.pack_bits(np.zeros((2, 3), np.bool_)),
            ValueError,
            r"bits must have 1 axes, got shape \(2, 3\)",
        ),
        (lambda k: k.pack_bits(np.zeros(9, np.bool_)[::2]), ValueError, "bits must be C-contiguous"),
        (
            lambda k: k.pack_bits(np.zeros(1, np.bool_), impl="cuda"),
            ValueError,
            "pack_bits has no implementation 'cuda'; choose one of: auto, numpy, numba",
        ),
        (
            lambda k: k.unpack_bits(np.zeros(1, np.uint64), 65),
            ValueError,
            "65 bits need 2 words, got 1",
        ),
        (lambda k: k.unpack_bits(np.zeros(1, np.uint64), 0), ValueError, "0 bits need 0 words, got 1"),
        (lambda k: k.unpack_bits(np.zeros(0, np.uint64), -1), ValueError, "-1 bits need 0 words, got 0"),
        (
            lambda k: k.unpack_bits(np.array([8], np.uint64), 3),
            ValueError,
            "pad bits must be zero, got bits set past bit 2 of the last word",
        ),
        (lambda k: k.popcount(np.zeros(1, np.int64)), TypeError, "words must have dtype uint64, got int64"),
        (
            lambda k: k.popcount(np.zeros((2, 4), np.uint64)[:, ::2]),
            ValueError,
            r"words must be C-contiguous, got shape \(2, 2\) with strides \(32, 16\)",
        ),
        (
            lambda k: k.implementations("sort"),
            ValueError,
            "no kernel is named 'sort'; choose one of: pack_bits",
        ),
    ],
)
def test_errors_name_the_expected_and_the_given_value(call, error, message):
    with pytest.raises(error, match=message):
        call(kernels)
