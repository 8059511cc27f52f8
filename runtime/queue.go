package runtime

// Queue reads a queue or a stack. Entry 0 is the one that the next pop would take.
type Queue[V any] = Array[V]

// NewQueue returns the queue or stack with index i in the layout.
func NewQueue[V any](b *Binding, i int, decode Decode[V]) Queue[V] { return NewArray(b, i, decode) }
