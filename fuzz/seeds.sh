#!/bin/sh
# Writes the seeds: small inputs from which a fuzzer finds its way sooner. What
# the bytes mean is told at the head of each target; \377 parts the parts.
set -eu
cd "$(dirname "$0")"
rm -rf seeds
mkdir -p seeds/append seeds/recover seeds/journal seeds/buffer seeds/read

event() { # id user category: a line without its newline
	printf '{"event_id":%s,"timestamp":170000000%s,"domain":"v2","category":"%s","model_name":"m","operation":"create","logical_user_id":"%s"}' \
		"$1" "$2" "$3" "$2"
}
head='{"domain":"v2","category":"a","model_name":"m","operation":"update","logical_user_id":"u"'

printf '\000%s}' "$head" >seeds/append/least
printf '\000%s,"timestamp":-5,"request_id":"r","payload":null}' "$head" >seeds/append/fields
printf '\003{ "payload" : {"x":[1,-0.5e+9,true,null,{}],"delta":{"k":{"new":"\\ud83d\\ude00\\n\\/","old":null}},"after":{},"before":{"\303\251":1E400}},\t"operation":"any", "domain":"other", "category":"A.b_c-9","logical_user_id":"\360\237\230\200\\u0041", "model_name":"\177\\u0000"}\r\n' >seeds/append/payload
printf '\004%s,"payload":{"after":{"pad":"%0120d"}}}' "$head" 0 >seeds/append/small
printf '\000%s,"payload":{"a":[[[[[[[[[[{"b":[[]]}]]]]]]]]]],"request_id":1,"request_id":2}}' "$head" >seeds/append/nested

state='auditrail-state 1'
printf '\000{"event_id":6,"timest' >seeds/recover/torn
{ printf '\044'; event 6 1 a; } >seeds/recover/no-newline
{ printf '\000'; event 6 1 a; printf '\n\000\000\000\000\n'; event 8 1 a; printf '\n'; } >seeds/recover/hole
{ printf '\021'; event 9 1 a; printf '\nwhat\n{}\n'; } >seeds/recover/own-segment
{ printf '\014'; event 6 1 a; printf '\n\377%s busy 4 2 - good 0\377{"last_event_id":3}' "$state"; } >seeds/recover/busy
printf '\012\377%s clean 5 5 - good 0\377{"last_event_id":5}' "$state" >seeds/recover/clean
printf '\054x\377%s open 18446744073709551615 0 - doubtful 0\377{"last_event_id":18446744073709551615}' "$state" >seeds/recover/largest
printf '\000\377nothing\377[]\377ATRJRNL1' >seeds/recover/nonsense

for seed in 0 1 2 3; do
	printf "\\00$seed\\000" >seeds/journal/whole-$seed
	printf "\\00$seed\\000\\050\\200\\003abc" >seeds/journal/changed-$seed
done
printf '\001\000\020\201\000' >seeds/journal/cut
printf '\001\001\042\200\003v2/' >seeds/journal/true-sums
printf '\002\001\010\000\010\377\377\377\377\377\377\377\377' >seeds/journal/epoch

printf '\000' >seeds/buffer/whole
printf '\000\050\200\003abc' >seeds/buffer/changed
printf '\000\000\202\000' >seeds/buffer/cut
printf '\001\026\200\003x/y' >seeds/buffer/true-sums
printf '\001\014\200\010\377\377\377\377\377\377\377\377' >seeds/buffer/largest-id
printf '\000\000\002\010\377\377\377\377\000\000\000\000' >seeds/buffer/long

{ printf '\000'; event 1 1 a; printf '\n'; event 3 2 a; printf '\n\377'; event 5 1 a; printf '\n\377'; event 2 1 b; printf '\n'; event 4 1 b; printf '\n\377{"last_event_id":5}'; } >seeds/read/whole
{ printf '\000'; event 1 1 a; printf '\nno event\n\n'; event 1 1 b; printf '\n'; event 1 2 a; printf '\n\377{}\n\377{"event_id":2,"timest'; } >seeds/read/damaged
{ printf '\007'; event 1 1 a; printf '\n'; event 3 0 a; printf '\n\377'; event 5 1 a; printf '\n\377\377\377v2/a 1 256 3 1700000000 1700000000 1700000001 00000000\n'; } >seeds/read/filtered
{ printf '\000 { "event_id" : 7 , "x":"\303\251", "payload":{"before":1,"delta":[]} , "domain":"v2","category":"\\u0061","timestamp":1.5}\n'; event 18446744073709551615 1 a; printf '\r\n'; } >seeds/read/foreign
