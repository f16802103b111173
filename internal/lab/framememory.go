// SPDX-License-Identifier: Apache-2.0

package lab

// maxHeldBytes bounds the memory of answers that wait.
const maxHeldBytes = 256 << 20

// heldSizes are the sizes of frames that memory is taken in, in bytes.
var heldSizes = [...]int{128, 512, 2048, 4096}

// frameMemory gives answers the memory that others no longer need.
type frameMemory struct {
	free  [len(heldSizes)][]*held
	taken int // bytes
}

// get returns an answer with a frame of a length, or nil where there is no room.
func (m *frameMemory) get(length int) *held {
	class := heldClass(length)
	if class < 0 {
		return nil
	}
	if n := len(m.free[class]); n > 0 {
		a := m.free[class][n-1]
		m.free[class] = m.free[class][:n-1]
		*a = held{frame: a.frame[:length]}
		return a
	}
	if m.taken+heldSizes[class] > maxHeldBytes {
		return nil
	}
	m.taken += heldSizes[class]
	return &held{frame: make([]byte, length, heldSizes[class])}
}

// put takes an answer back.
func (m *frameMemory) put(a *held) {
	class := heldClass(cap(a.frame))
	m.free[class] = append(m.free[class], a)
}

func heldClass(length int) int {
	for k, size := range heldSizes {
		if length <= size {
			return k
		}
	}
	return -1
}
