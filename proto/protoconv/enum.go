package protoconv

// An enum pairs the words of a closed list with their numbers on the wire.
type enum[W comparable, N ~int32] struct {
	number map[W]N
	word   map[N]W
	// unknown and unset stand for a number and a word that aren't in the
	// list.
	unknown W
	unset   N
}

func newEnum[W comparable, N ~int32](unknown W, unset N, number map[W]N) enum[W, N] {
	e := enum[W, N]{number, make(map[N]W, len(number)), unknown, unset}
	for w, n := range number {
		e.word[n] = w
	}
	return e
}

func (e enum[W, N]) toProto(w W) N {
	if n, ok := e.number[w]; ok {
		return n
	}
	return e.unset
}

func (e enum[W, N]) fromProto(n N) W {
	if w, ok := e.word[n]; ok {
		return w
	}
	return e.unknown
}
