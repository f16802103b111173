// SPDX-License-Identifier: Apache-2.0

package main

import (
	"bufio"
	"context"
	"fmt"
	"io"
	"net/netip"
	"os/exec"
	"regexp"
	"strconv"
	"strings"

	"xsweep/internal/lab"
)

// peerTool is another tool that sweeps.
type peerTool struct {
	name    string
	targets string // prefix
	senders []int  // to try
	rounds  int    // at its best setting, by turns with xsweep
	// arguments make it sweep a prefix through the lab's device, results to
	// standard output.
	arguments func(prefix string, s setting) []string
	// read takes the addresses from those results.
	read func(found *census, results io.Reader) error
}

var peerTools = []peerTool{
	{"zmap", range524k, []int{1, 2}, sendRounds, zmapArguments, (*census).read},
	{"masscan", range524k, []int{1}, infoRounds, masscanArguments, readMasscan},
	{"fping", "240.0.0.0/18", []int{1}, infoRounds, fpingArguments, (*census).read},
}

// zmapArguments: results are bare addresses. Its default configuration and
// blocklist, which could leave out our targets, stay out of it.
func zmapArguments(prefix string, s setting) []string {
	return []string{
		"--probe-module=icmp_echoscan", "--config=/dev/null", "--blocklist-file=/dev/null",
		"--interface=" + lab.SenderDevice, "--source-ip=" + lab.SenderAddr.String(), "--gateway-mac=" + lab.ResponderMAC.String(),
		"--sender-threads=" + strconv.Itoa(s.senders), "--rate=" + strconv.Itoa(s.rate), "--cooldown-time=1",
		"--quiet", "--disable-syslog", "--verbosity=0", "--output-file=-", prefix,
	}
}

// masscanUnlimited is more than it can send; it has no word for no limit.
const masscanUnlimited = 100_000_000

func masscanArguments(prefix string, s setting) []string {
	rate := s.rate
	if rate == 0 {
		rate = masscanUnlimited
	}
	return []string{
		"--ping", prefix, "--adapter", lab.SenderDevice, "--adapter-ip", lab.SenderAddr.String(),
		"--router-mac", strings.ReplaceAll(lab.ResponderMAC.String(), ":", "-"),
		"--rate", strconv.Itoa(rate), "--wait", "1", "--output-format", "list", "--output-filename", "-",
	}
}

// readMasscan reads masscan's list format: a line "open icmp 0 ADDRESS TIME"
// for each reply, and comments.
func readMasscan(found *census, results io.Reader) error {
	lines := bufio.NewScanner(results)
	for lines.Scan() {
		if lines.Text() == "" || strings.HasPrefix(lines.Text(), "#") {
			continue
		}
		fields := strings.Fields(lines.Text())
		if len(fields) != 5 || fields[0] != "open" || fields[1] != "icmp" {
			return fmt.Errorf("read masscan's results: line %q", lines.Text())
		}
		a, err := netip.ParseAddr(fields[3])
		if err != nil {
			return fmt.Errorf("read masscan's results: %w", err)
		}
		found.add(addrOf(a))
	}
	if err := lines.Err(); err != nil {
		return fmt.Errorf("read masscan's results: %w", err)
	}
	return nil
}

// fpingArguments: one probe a target, no retry, ten microseconds between
// probes unless asked otherwise.
func fpingArguments(prefix string, s setting) []string {
	interval := "0.01" // ms
	if s.rate != 0 {
		interval = strconv.FormatFloat(1000/float64(s.rate), 'f', 3, 64)
	}
	return []string{
		"--alive", "--quiet", "--retry=0", "--timeout=500", "--interval=" + interval,
		"--iface=" + lab.SenderDevice, "--src=" + lab.SenderAddr.String(), "--generate", prefixFirst(prefix), prefixLast(prefix),
	}
}

// prefixFirst and prefixLast are the ends of a prefix, which fping would leave
// out if it were given the prefix.
func prefixFirst(text string) string { return prefix(text).First.String() }
func prefixLast(text string) string  { return prefix(text).Last.String() }

var versionNumber = regexp.MustCompile(`\d+\.\d+(\.\d+)?`)

// version asks a tool for its version.
func (t peerTool) version(ctx context.Context, path string) (string, error) {
	// masscan's exit status is not 0.
	output, err := exec.CommandContext(ctx, path, "--version").Output()
	if v := versionNumber.FindString(string(output)); v != "" {
		return v, nil
	}
	if err == nil {
		err = fmt.Errorf("no number in %q", output)
	}
	return "", fmt.Errorf("ask for its version: %w", err)
}
