// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"
	"io/fs"
	"strconv"
	"time"
)

// This file has Linux limit its echo replies, which by default it does not:
// icmp_ratemask then has bit 0, their type.

// maxICMPRateLimit lets an address have six replies at first: Linux grants it what
// a minute brings.
const maxICMPRateLimit = 10 * time.Second

func (c Config) validateKernelLimits() error {
	if err := c.ICMPLimit.validate(); err != nil {
		return fmt.Errorf("icmp-limit %w", err)
	}
	if d := c.ICMPRateLimit; d < 0 || d > maxICMPRateLimit || d%time.Millisecond != 0 {
		return fmt.Errorf("icmp-ratelimit %v: must be whole milliseconds, at most %v", d, maxICMPRateLimit)
	}
	if c.Responder == Kernel {
		return nil
	}
	if c.ICMPLimit != (Bucket{}) {
		return fmt.Errorf("icmp-limit: the %s responder has no such setting: use the kernel responder", c.Responder)
	}
	if c.ICMPRateLimit != 0 {
		return fmt.Errorf("icmp-ratelimit: the %s responder has no such setting: use the kernel responder", c.Responder)
	}
	return nil
}

// limitEcho applies the limits of the kernel responder, which [end.answerAll] has
// lifted before.
func (e *end) limitEcho(c Config) error {
	if c.ICMPLimit == (Bucket{}) && c.ICMPRateLimit == 0 {
		return nil
	}
	settings := []setting{
		{"ipv4/icmp_ratemask", "1", false},
		{"ipv4/icmp_ratelimit", strconv.FormatInt(c.ICMPRateLimit.Milliseconds(), 10), false},
	}
	if b := c.ICMPLimit; b != (Bucket{}) {
		settings = append(settings,
			setting{"ipv4/icmp_msgs_per_sec", strconv.FormatUint(b.Rate, 10), false},
			setting{"ipv4/icmp_msgs_burst", strconv.FormatUint(b.Burst, 10), false})
	}
	err := inNamespace(e.ns, func() error { return apply(settings) })
	if errors.Is(err, fs.ErrNotExist) {
		err = fmt.Errorf("%w: a network namespace has a limit of its own since Linux 6.13", err)
	}
	return err
}
