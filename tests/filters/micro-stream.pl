#!/usr/bin/perl
# tests/filters/micro-stream.pl GOLDEN [OPTION VALUE]... : golden whisper-micro's batch as a stream, written independently
#
# --epochs N (1), --unit N samples a unit (1), --repeat N copies of the three clips in an epoch (1), --first Q,
# --run TEXT of 16 bytes, --mels N pretended bands, --feature-size N in the header, --bad N (sample N is an error
# record), --nan Q (unit Q holds NaN), --no-count (the header does not say how many), --no-end, --sleep S before
# each unit.
use strict;
use warnings;
use JSON::PP;
use Time::HiRes 'sleep';
binmode STDOUT;
$| = 1;
my $golden = shift;
my %o = (epochs => 1, unit => 1, repeat => 1, first => 0, run => '0123456789abcdef', mels => 80, 'feature-size' => 80,
         bad => -1, nan => -1, sleep => 0);
while (@ARGV) {
    my $k = shift;
    $k =~ s/^--//;
    if ($k =~ /^no-/) { $o{$k} = 1 } else { die "unknown --$k" unless exists $o{$k}; $o{$k} = shift }
}

# CRC-32C, eight bytes at a time ("slicing-by-8")
my @t = ([map { my $c = $_; $c = $c & 1 ? ($c >> 1) ^ 0x82F63B78 : $c >> 1 for 1 .. 8; $c } 0 .. 255]);
for my $k (1 .. 7) { $t[$k] = [map { ($t[$k - 1][$_] >> 8) ^ $t[0][$t[$k - 1][$_] & 255] } 0 .. 255] }
sub crc {
    my ($c, $s) = @_;
    my ($t0, $t1, $t2, $t3, $t4, $t5, $t6, $t7) = @t;
    my $n = length($s) & ~7;
    $c ^= 0xFFFFFFFF;
    for (my $at = 0; $at < $n; $at += 65536) {
        my @w = unpack 'V*', substr $s, $at, $at + 65536 < $n ? 65536 : $n - $at;
        for (my $i = 0; $i < @w; $i += 2) {
            my ($a, $b) = ($w[$i] ^ $c, $w[$i + 1]);
            $c = $t7->[$a & 255] ^ $t6->[($a >> 8) & 255] ^ $t5->[($a >> 16) & 255] ^ $t4->[$a >> 24]
               ^ $t3->[$b & 255] ^ $t2->[($b >> 8) & 255] ^ $t1->[($b >> 16) & 255] ^ $t0->[$b >> 24];
        }
    }
    $c = ($c >> 8) ^ $t0->[($c ^ $_) & 255] for unpack 'C*', substr $s, $n;
    return $c ^ 0xFFFFFFFF;
}
sub uint {
    my $n = shift;
    return pack('C', $n) if $n < 128;
    return pack('CC', 0xcc, $n) if $n < 256;
    return $n < 65536 ? pack('Cn', 0xcd, $n) : pack('CN', 0xce, $n);
}
sub str { my $s = shift; length $s < 32 ? pack('C', 0xa0 | length $s) . $s : pack('CC', 0xd9, length $s) . $s }
sub bin { my $s = shift; pack('CN', 0xc6, length $s) . $s }
sub array {
    my ($type, $data, @shape) = @_;
    return "\x85" . bin('nd') . "\xc3" . bin('type') . str($type) . bin('kind') . bin('')
        . bin('shape') . pack('C', 0x90 | @shape) . join('', map { uint($_) } @shape) . bin('data') . bin($data);
}

open my $f, '<:raw', "$golden/inputs.safetensors" or die "$golden/inputs.safetensors: $!";
my $file = do { local $/; <$f> };
my $head = unpack 'Q<', $file;
my $tensors = decode_json(substr $file, 8, $head);
my ($from, $to) = @{$tensors->{input_features}{data_offsets}};
my $features = substr $file, 8 + $head + $from, $to - $from;
open $f, '<', "$golden/labels.json" or die "$golden/labels.json: $!";
my $rows = decode_json(do { local $/; <$f> });
my @samples = map {
    my @tokens = @{$rows->[$_]{tokens}};
    my $n = @tokens - 1;
    str('input_features') . array('<f4', substr($features, $_ * 80 * 300 * 4, $o{mels} * 300 * 4), $o{mels}, 300)
        . str('padding_value') . "\xcb" . pack('d>', 0)
        . str('input_ids') . array('<i4', pack('l<*', @tokens[0 .. $n - 1]), $n)
        . str('labels') . array('<i4', pack('l<*', @tokens[1 .. $n]), $n)
} 0 .. 2;

my $all = 0;
sub out { my $s = shift; $all = crc($all, $s); print $s }
my $each = 3 * $o{repeat};
out(pack('C', $o{'no-count'} ? 0x83 : 0x85) . str('penstock') . uint(1) . str('run') . bin($o{run})
    . str('stages') . "\x91\x83" . str('name') . str('mel-features') . str('version') . str('0')
    . str('feature_size') . uint($o{'feature-size'})
    . ($o{'no-count'} ? '' : str('samples') . uint($each) . str('epochs') . uint($o{epochs})));
my ($q, $units, $total, $errors) = (0, 0, 0, 0);
for my $e (0 .. $o{epochs} - 1) {
    for (my $i = 0; $i < $each; $i += $o{unit}, $q++) {
        next if $q < $o{first};
        my $k = $i + $o{unit} < $each ? $o{unit} : $each - $i;
        my $body = "\x81" . str('samples') . pack('Cn', 0xdc, $k);
        for my $s ($i .. $i + $k - 1) {
            if ($s == $o{bad}) {
                $body .= "\x82" . str('id') . str("clip$s")
                    . str('error') . "\x82" . str('stage') . str('test') . str('message') . str('bad');
                $errors++;
            } else {
                $body .= "\x85" . str('id') . str("clip$s") . $samples[$s % 3];
            }
        }
        substr($body, index($body, bin('data')) + 214, 4) = pack('f<', 'nan') if $q == $o{nan};
        sleep $o{sleep} if $o{sleep};
        out("\x86" . str('t') . str('DATA') . str('q') . uint($q) . str('e') . uint($e) . str('k') . uint($k)
            . str('n') . uint(length $body) . str('c') . uint(crc(0, $body)));
        out($body);
        $units++;
        $total += $k;
    }
}
exit if $o{'no-end'};
print "\x85" . str('t') . str('END') . str('units') . uint($units) . str('samples') . uint($total)
    . str('errors') . uint($errors) . str('c') . uint($all);
