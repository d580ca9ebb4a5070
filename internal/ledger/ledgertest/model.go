package ledgertest

import "testing"

func testModel(t *testing.T, fixture Fixture) { _ = fixture }
