module github.com/sysrq/sysrq

go 1.26.0
