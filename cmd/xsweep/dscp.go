// SPDX-License-Identifier: Apache-2.0

package main

import (
	"fmt"
	"strconv"
	"strings"
)

// dscpNames are the code points of differentiated services that have names, as
// the registry spells them (RFC 2474, 2597, 3246, 5865, 8622).
var dscpNames = map[string]uint8{
	"CS0": 0, "CS1": 8, "CS2": 16, "CS3": 24, "CS4": 32, "CS5": 40, "CS6": 48, "CS7": 56,
	"AF11": 10, "AF12": 12, "AF13": 14, "AF21": 18, "AF22": 20, "AF23": 22,
	"AF31": 26, "AF32": 28, "AF33": 30, "AF41": 34, "AF42": 36, "AF43": 38,
	"EF": 46, "VOICE-ADMIT": 44, "LE": 1,
}

// parseDSCP reads a name or a number from 0 to 63 and returns the type of
// service octet, which has it in its upper six bits.
func parseDSCP(text string) (tos uint8, err error) {
	if dscp, ok := dscpNames[strings.ToUpper(text)]; ok {
		return dscp << 2, nil
	}
	dscp, err := strconv.ParseUint(text, 0, 8)
	if err != nil || dscp > 63 {
		return 0, fmt.Errorf("%q: must be a name such as EF, AF41, CS6 or LE, or a number from 0 to 63", text)
	}
	return uint8(dscp) << 2, nil
}
