module example.org/auditrail

go 1.19
