#!/usr/bin/perl
# tests/filters/safetensors-edit.pl FROM TO drop NAME | rename NAME NEW | shape NAME N,M | first NAME X (its first float32)
use strict;
use warnings;
use JSON::PP;
my ($from, $to, $what, $name, $value) = @ARGV;
open my $f, '<:raw', $from or die "$from: $!";
my $file = do { local $/; <$f> };
my $n = unpack 'Q<', $file;
my $head = decode_json(substr $file, 8, $n);
my $data = substr $file, 8 + $n;
my $t = $head->{$name} or die "$from has no $name";
if ($what eq 'drop') {          # its bytes too: a hole would be another fault
    my ($a, $b) = @{$t->{data_offsets}};
    delete $head->{$name};
    substr($data, $a, $b - $a) = '';
    for my $o (grep { ref eq 'HASH' && $_->{data_offsets} && $_->{data_offsets}[0] >= $b } values %$head) {
        $_ -= $b - $a for @{$o->{data_offsets}};
    }
} elsif ($what eq 'rename') {
    $head->{$value} = delete $head->{$name};
} elsif ($what eq 'shape') {
    $t->{shape} = [map { $_ + 0 } split /,/, $value];
} elsif ($what eq 'first') {
    substr($data, $t->{data_offsets}[0], 4) = pack 'f<', $value;
}
my $json = JSON::PP->new->canonical->encode($head);
$json .= ' ' while length($json) % 8;
open my $g, '>:raw', $to or die "$to: $!";
print $g pack('Q<', length $json), $json, $data;
