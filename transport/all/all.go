// Package all has the registry of every transport that there is.
package all

import (
	"github.com/sysrq/sysrq/transport"
	"github.com/sysrq/sysrq/transport/local"
	"github.com/sysrq/sysrq/transport/qmp"
)

// Registry is a new registry of all transports.
func Registry() *transport.Registry {
	return transport.NewRegistry(
		local.Factory(),
		qmp.Factory(),
	)
}
