// SPDX-License-Identifier: Apache-2.0

package target_test

import (
	"context"
	"fmt"
	"strings"

	"xsweep/sweep/target"
)

// From what the user wrote to the addresses in the order they are probed.
func Example() {
	const file = `
192.0.0.0/22   # has special-purpose ranges in it
192.0.2.0/30   # is one of them: meant
`
	targets, err := target.ParseFile(context.Background(), nil, "targets.txt", strings.NewReader(file))
	if err != nil {
		fmt.Println(err)
		return
	}
	excluded, err := target.Parse(context.Background(), nil, "192.0.1.0-192.0.1.127")
	if err != nil {
		fmt.Println(err)
		return
	}

	selection := target.Select(targets, target.SetOf(excluded))
	fmt.Printf("%d named = %d swept + %d excluded + %d special\n",
		selection.Named, selection.Set.Len(), selection.Excluded, selection.Special)
	for _, r := range selection.Set.Ranges() {
		fmt.Println(r)
	}

	order := target.NewOrder(selection.Set, 42)
	for i := range uint64(3) {
		fmt.Println("probe", i, "goes to", order.At(i))
	}
	// Output:
	// 1024 named = 388 swept + 128 excluded + 508 special
	// 192.0.1.128-192.0.2.3
	// 192.0.3.0/24
	// probe 0 goes to 192.0.1.211
	// probe 1 goes to 192.0.2.0
	// probe 2 goes to 192.0.3.166
}

// Shards are exact cuts of one order.
func ExampleShard() {
	set := target.NewSet(target.Range{First: 0xc0000200, Last: 0xc0000207})
	order := target.NewOrder(set, 42)
	for _, text := range []string{"1/2", "2/2"} {
		shard, err := target.ParseShard(text)
		if err != nil {
			fmt.Println(err)
			return
		}
		fmt.Print(shard, ":")
		for k := range shard.Len(order.Len()) {
			fmt.Print(" ", order.At(shard.At(k)))
		}
		fmt.Println()
	}
	// Output:
	// 1/2: 192.0.2.7 192.0.2.6 192.0.2.0 192.0.2.2
	// 2/2: 192.0.2.1 192.0.2.3 192.0.2.5 192.0.2.4
}

func ExampleParse() {
	for _, text := range []string{"192.0.2.77/24", "192.0.2.1-9", "192.0.2.300", "1.2.3"} {
		targets, err := target.Parse(context.Background(), nil, text)
		if err != nil {
			fmt.Println(err)
			continue
		}
		fmt.Println(targets[0].Range)
	}
	// Output:
	// 192.0.2.0/24
	// 192.0.2.1-192.0.2.9
	// target "192.0.2.300": octet "300" is over 255; expected four octets, as in 192.0.2.1
	// target "1.2.3": has 3 octets; expected four octets, as in 192.0.2.1
}

func ExampleSet() {
	set := target.NewSet(
		target.Range{First: 0xc0000204, Last: 0xc0000207},
		target.Range{First: 0xc0000200, Last: 0xc0000203},
	).Subtract(target.NewSet(target.Range{First: 0xc0000202, Last: 0xc0000202}))
	fmt.Println(set.Ranges(), set.Len())
	rank, ok := set.Rank(0xc0000203)
	fmt.Println(rank, ok, set.At(rank))
	// Output:
	// [192.0.2.0/31 192.0.2.3-192.0.2.7] 7
	// 2 true 192.0.2.3
}
