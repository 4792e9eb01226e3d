package record

import "encoding/binary"

// nanosBytes is the number of digits that nanoseconds have.
const nanosBytes = 9

// appendNanoseconds appends the nine digits of n.
func appendNanoseconds(dst []byte, n uint32) []byte {
	dst = append(dst, byte('0'+n/1e8))
	return binary.LittleEndian.AppendUint64(dst, eightDigits(n%1e8))
}

// eightDigits returns the decimal digits of n, which is below 1e8, the first of them in the lowest
// byte. It finds all that are in the same place of their groups at once.
func eightDigits(n uint32) uint64 {
	// By two groups of four digits, then four of two: the quotients in their places, with the
	// remainders behind them. The factors are exact for numbers that small.
	x := uint64(n/1e4) | uint64(n%1e4)<<32
	hundreds := x * 10486 >> 20 & (0x7f * (1 | 1<<32))
	x = hundreds | (x-hundreds*100)<<16
	tens := x * 103 >> 10 & (0xf * (1 | 1<<16 | 1<<32 | 1<<48))
	x = tens | (x-tens*10)<<8
	return x | '0'*each
}

// nanoseconds reads the nine digits at the front of s.
func nanoseconds(s []byte) (n int64, ok bool) {
	first := s[0] - '0'
	rest, ok := eightDigitsOf(word(s, 1))
	return int64(first)*1e8 + int64(rest), ok && first <= 9
}

// eightDigitsOf is the inverse of eightDigits; ok is false if x is something else.
func eightDigitsOf(x uint64) (n uint32, ok bool) {
	x ^= '0' * each
	if (x+(0x7f-9)*each|x)&tops != 0 {
		return 0, false
	}
	// Two neighbours make one number, three times.
	x = (x*10 + x>>8) & (0xff * (1 | 1<<16 | 1<<32 | 1<<48))
	x = (x*100 + x>>16) & (0xffff * (1 | 1<<32))
	return uint32(x*1e4 + x>>32), true
}
