// Reads a Compose file as Docker Compose does, with its own loader, and prints what it means as JSON.
//
// A program of our own: the loader's (compose-go/cmd) does not look whether what is named is there, e.g. a volume.
package main

import (
	"context"
	"fmt"
	"os"

	"github.com/compose-spec/compose-go/v2/cli"
)

func main() {
	// No environment: what is printed is what a person gets who sets nothing.
	options, err := cli.NewProjectOptions(os.Args[1:])
	if err != nil {
		fail(err)
	}
	project, err := options.LoadProject(context.Background())
	if err != nil {
		fail(err)
	}
	text, err := project.MarshalJSON()
	if err != nil {
		fail(err)
	}
	fmt.Println(string(text))
}

func fail(err error) {
	fmt.Fprintln(os.Stderr, err)
	os.Exit(1)
}
