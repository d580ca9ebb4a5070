// Command drover runs data-frame jobs. See the package cli.
package main

import "github.com/droverdata/drover/cli"

func main() { cli.Main() }
