module example.org/story

go 1.19

require example.org/auditrail v0.0.0

replace example.org/auditrail => ../../bindings/go
