// SPDX-License-Identifier: Apache-2.0

package lab

import (
	"errors"
	"fmt"

	"xsweep/sweep/target"
)

// MaxAddresses is how many addresses lab0 can have.
const MaxAddresses = 240

// moreAddrs is the first of those that lab0 has besides its own: 198.18.0.16.
const moreAddrs = target.Addr(0xc6120010)

func (c Config) validateAddresses() error {
	if c.Addresses < 0 || c.Addresses > MaxAddresses {
		return fmt.Errorf("addresses %d: must be from 1 to %d", c.Addresses, MaxAddresses)
	}
	if c.Addresses > 1 && c.Hops > 0 {
		return fmt.Errorf("addresses %d: not with routers, which know the way to one alone", c.Addresses)
	}
	return nil
}

// addresses are those that lab0 has besides its own.
func (c Config) addresses() []target.Addr {
	var list []target.Addr
	for i := range max(c.Addresses, 1) - 1 {
		list = append(list, moreAddrs+target.Addr(i))
	}
	return list
}

// assignMore gives lab0 its other addresses, and tells the responder the way to
// them.
func (l *Lab) assignMore() error {
	for _, a := range l.config.addresses() {
		if err := errors.Join(l.sender.assign(a, 32), l.responder.routeTo(a, SenderAddr)); err != nil {
			return err
		}
	}
	return nil
}
