package gen

import (
	"go/types"
	"testing"

	"github.com/stretchr/testify/require"
	"golang.org/x/tools/go/packages"
)

// Generated code is type-checked against a description of package runtime.
// Everything in the description is in the package, and the same.
func TestAPIMatchesRuntime(t *testing.T) {
	pkgs, err := packages.Load(&packages.Config{Mode: packages.NeedTypes | packages.NeedImports | packages.NeedDeps | packages.NeedExportFile | packages.NeedName}, ktrt)
	require.NoError(t, err)
	require.Len(t, pkgs, 1)
	require.Empty(t, pkgs[0].Errors)
	described, err := apiImporter{}.Import(ktrt)
	require.NoError(t, err)

	for _, name := range described.Scope().Names() {
		want := pkgs[0].Types.Scope().Lookup(name)
		require.NotNil(t, want, "package runtime has no %s", name)
		requireSameObject(t, want, described.Scope().Lookup(name))
	}
}

func requireSameObject(t *testing.T, want, got types.Object) {
	t.Helper()
	require.IsType(t, want, got, want.Name())
	if want, isType := want.(*types.TypeName); isType && !want.IsAlias() {
		requireSameType(t, want, got.(*types.TypeName))
		return
	}
	require.Equal(t, text(want.Type()), text(got.Type()), want.Name())
}

// requireSameType compares what generated code sees of a type: its parameters,
// its kind, and the fields and methods that the description lists.
func requireSameType(t *testing.T, want, got *types.TypeName) {
	t.Helper()
	wantType, gotType := want.Type().(*types.Named), got.Type().(*types.Named)
	require.Equal(t, wantType.TypeParams().Len(), gotType.TypeParams().Len(), want.Name())
	for i := range wantType.TypeParams().Len() {
		require.Equal(t, text(wantType.TypeParams().At(i).Constraint()), text(gotType.TypeParams().At(i).Constraint()), want.Name())
	}
	if _, isBasic := gotType.Underlying().(*types.Basic); isBasic {
		require.Equal(t, text(wantType.Underlying()), text(gotType.Underlying()), want.Name())
	}
	for i := range gotType.NumMethods() {
		method := gotType.Method(i)
		same, _, _ := types.LookupFieldOrMethod(types.NewPointer(wantType), true, want.Pkg(), method.Name())
		require.NotNil(t, same, "%s.%s", want.Name(), method.Name())
		require.Equal(t, text(same.Type()), text(method.Type()), method.Name())
	}
	fields, isStruct := gotType.Underlying().(*types.Struct)
	if !isStruct {
		return
	}
	for i := range fields.NumFields() {
		field := fields.Field(i)
		same, _, _ := types.LookupFieldOrMethod(wantType, true, want.Pkg(), field.Name())
		require.NotNil(t, same, "%s.%s", want.Name(), field.Name())
		require.Equal(t, text(same.Type()), text(field.Type()), "%s.%s", want.Name(), field.Name())
	}
}

func text(t types.Type) string {
	return types.TypeString(t, func(p *types.Package) string { return p.Name() })
}

func TestCodeThatDoesNotCompileIsRefused(t *testing.T) {
	for name, src := range map[string]string{
		"syntax":              "package p\nfunc {",
		"an unknown type":     "package p\nvar x Missing",
		"an unknown function": "package p\nimport ktrt \"" + ktrt + "\"\nvar x = ktrt.Missing()",
		"an unused import":    "package p\nimport ktrt \"" + ktrt + "\"",
		"another package":     "package p\nimport \"os\"\nvar x = os.Args",
		"a duplicate":         "package p\ntype A int\ntype A int",
	} {
		t.Run(name, func(t *testing.T) {
			fset, file, err := parse("p.go", []byte(src))
			if err == nil {
				err = check("p", fset, file)
			}
			require.Error(t, err)
		})
	}
}
