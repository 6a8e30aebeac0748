package cli

import "github.com/spf13/cobra"

func (p *program) labCommand() *cobra.Command {
	return &cobra.Command{Use: "lab", Hidden: true}
}
